/* jinja_value.h - the values that a chat template computes with.
 *
 * A value is 16 bytes and passed by copy; what it points to lives in the arena of the rendering
 * (or, for constants, of the parsed template) and is never changed once it can be seen, except
 * namespaces and the three iterators (generator, cycler, joiner), which Jinja2 changes too.
 * Strings are valid UTF-8, may hold NULs, and are indexed by code point as Python's are. */
#ifndef RZ_TOKENIZER_JINJA_VALUE_H
#define RZ_TOKENIZER_JINJA_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rz_j_ctx;
struct rz_j_node;
struct rz_j_scope;
struct rz_j_loop;

enum rz_j_kind {
    RZJ_ABSENT, /* an optional argument that was not given; never seen by a template */
    RZJ_UNDEF,
    RZJ_NONE,
    RZJ_BOOL,
    RZJ_INT,
    RZJ_FLOAT,
    RZJ_STR,
    RZJ_LIST,
    RZJ_TUPLE,
    RZJ_RANGE,
    RZJ_VIEW, /* dict.keys(), .values(), .items() */
    RZJ_GEN,  /* what lazy filters return: iterated once, always true, without a length */
    RZJ_DICT,
    RZJ_NAMESPACE,
    RZJ_MACRO,
    RZJ_FUNC,   /* a global function */
    RZJ_METHOD, /* a method bound to its object */
    RZJ_LOOP,
    RZJ_CYCLER,
    RZJ_JOINER
};

struct rz_j_value {
    uint8_t kind;
    bool markup;  /* a string that |safe or |escape returned: + escapes the other side */
    uint32_t len; /* bytes of a string */
    union {
        bool b;
        int64_t i;
        double f;
        const char *s;
        struct rz_j_list *list; /* list, tuple, range, view, generator */
        struct rz_j_dict *dict; /* dict, namespace */
        const struct rz_j_undef *undef;
        const struct rz_j_macro *macro;
        const struct rz_j_builtin *func;
        const struct rz_j_bound *bound;
        struct rz_j_loop *loop;
        struct rz_j_cycler *cycler; /* cycler, joiner */
    } u;
};

struct rz_j_list {
    struct rz_j_value *items;
    uint32_t n;
    uint32_t pos;          /* generator: items already taken */
    const char *type_name; /* view, generator, group tuple: Python's name of the type, else NULL */
    int64_t start, stop, step; /* range */
    const char *poison;        /* generator: what taking an item raises */
};

struct rz_j_pair {
    struct rz_j_value key, value;
    uint64_t hash;
};

/* Insertion order in pairs; slots is an open-addressing table of 1 + position in pairs. */
struct rz_j_dict {
    struct rz_j_pair *pairs;
    uint32_t n, cap;
    uint32_t *slots;
    uint32_t n_slots; /* 0 or a power of two above n */
};

/* Why a value is undefined, for the message if it is used. */
struct rz_j_undef {
    const char *hint;      /* the whole message, or NULL */
    const char *type_name; /* of the object that lacks name, or NULL: a variable */
    struct rz_j_value name;
};

struct rz_j_macro {
    const struct rz_j_node *def; /* a macro or call-block node */
    struct rz_j_scope *scope;    /* where it was defined */
};

struct rz_j_bound {
    struct rz_j_value self;
    const struct rz_j_builtin *method;
};

struct rz_j_cycler {
    struct rz_j_value *items; /* joiner: the separator */
    uint32_t n, pos;          /* joiner: pos is 1 once used */
};

static inline struct rz_j_value rz_j_none(void)
{
    return (struct rz_j_value){.kind = RZJ_NONE};
}

static inline struct rz_j_value rz_j_bool(bool b)
{
    return (struct rz_j_value){.kind = RZJ_BOOL, .u.b = b};
}

static inline struct rz_j_value rz_j_int(int64_t i)
{
    return (struct rz_j_value){.kind = RZJ_INT, .u.i = i};
}

static inline struct rz_j_value rz_j_float(double f)
{
    return (struct rz_j_value){.kind = RZJ_FLOAT, .u.f = f};
}

/* Borrows s; len is below 4 GiB because every string is made under RZJ_MAX_STRING_BYTES. */
static inline struct rz_j_value rz_j_str(const char *s, size_t len)
{
    return (struct rz_j_value){.kind = RZJ_STR, .len = (uint32_t)len, .u.s = s};
}

static inline struct rz_j_value rz_j_cstr(const char *s)
{
    return rz_j_str(s, strlen(s));
}

static inline struct rz_j_value rz_j_of_list(enum rz_j_kind kind, struct rz_j_list *list)
{
    return (struct rz_j_value){.kind = (uint8_t)kind, .u.list = list};
}

static inline struct rz_j_value rz_j_of_dict(struct rz_j_dict *dict)
{
    return (struct rz_j_value){.kind = RZJ_DICT, .u.dict = dict};
}

static inline bool rz_j_is_text(struct rz_j_value v, const char *text)
{
    return v.kind == RZJ_STR && v.len == strlen(text) && memcmp(v.u.s, text, v.len) == 0;
}

/* int or bool, which is an int in Python; *i is 0 for others. */
static inline bool rz_j_is_int(struct rz_j_value v, int64_t *i)
{
    *i = v.kind == RZJ_INT ? v.u.i : v.kind == RZJ_BOOL ? v.u.b : 0;
    return v.kind == RZJ_INT || v.kind == RZJ_BOOL;
}

/* int, bool or float. */
bool rz_j_is_number(struct rz_j_value v, double *f);

/* Python's name of the value's type ("str", "dict", "NoneType"). */
const char *rz_j_type_name(struct rz_j_value v);
bool rz_j_truth(struct rz_j_value v);

/* All below: false after rz_j_fail. */
bool rz_j_equal(struct rz_j_ctx *c, struct rz_j_value a, struct rz_j_value b, bool *equal);
/* a < b; raises for types without an order. */
bool rz_j_less(struct rz_j_ctx *c, struct rz_j_value a, struct rz_j_value b, bool *less);
/* Compares a number with a number exactly: negative, 0, positive; 2 if either is NaN. */
int rz_j_number_order(struct rz_j_value a, struct rz_j_value b);

bool rz_j_is_iterable(struct rz_j_value v);
/* What iter(v) would yield, all at once; takes the rest of a generator. */
bool rz_j_items(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_list *out);
/* len(v); raises where Python does. */
bool rz_j_length(struct rz_j_ctx *c, struct rz_j_value v, int64_t *n);

struct rz_j_list *rz_j_list_new(struct rz_j_ctx *c, size_t n);
/* Appends; *cap is the capacity of list->items. */
bool rz_j_list_push(struct rz_j_ctx *c, struct rz_j_list *list, uint32_t *cap, struct rz_j_value v);
struct rz_j_dict *rz_j_dict_new(struct rz_j_ctx *c, size_t cap);
bool rz_j_dict_set(struct rz_j_ctx *c, struct rz_j_dict *d, struct rz_j_value key,
                   struct rz_j_value value);
/* *found is NULL if there is no such key; raises for an unhashable key. */
bool rz_j_dict_get(struct rz_j_ctx *c, const struct rz_j_dict *d, struct rz_j_value key,
                   struct rz_j_value **found);

#endif
