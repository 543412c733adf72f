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

struct rzj_ctx;
struct rzj_node;
struct rzj_scope;
struct rzj_loop;

enum rzj_kind {
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

struct rzj_value {
    uint8_t kind;
    bool markup;  /* a string that |safe or |escape returned: + escapes the other side */
    uint32_t len; /* bytes of a string */
    union {
        bool b;
        int64_t i;
        double f;
        const char *s;
        struct rzj_list *list; /* list, tuple, range, view, generator */
        struct rzj_dict *dict; /* dict, namespace */
        const struct rzj_undef *undef;
        const struct rzj_macro *macro;
        const struct rzj_builtin *func;
        const struct rzj_bound *bound;
        struct rzj_loop *loop;
        struct rzj_cycler *cycler; /* cycler, joiner */
    } u;
};

struct rzj_list {
    struct rzj_value *items;
    uint32_t n;
    uint32_t pos;          /* generator: items already taken */
    const char *type_name; /* view, generator, group tuple: Python's name of the type, else NULL */
    int64_t start, stop, step; /* range */
    const char *poison;        /* generator: what taking an item raises */
};

struct rzj_pair {
    struct rzj_value key, value;
    uint64_t hash;
};

/* Insertion order in pairs; slots is an open-addressing table of 1 + position in pairs. */
struct rzj_dict {
    struct rzj_pair *pairs;
    uint32_t n, cap;
    uint32_t *slots;
    uint32_t n_slots; /* 0 or a power of two above n */
};

/* Why a value is undefined, for the message if it is used. */
struct rzj_undef {
    const char *hint;      /* the whole message, or NULL */
    const char *type_name; /* of the object that lacks name, or NULL: a variable */
    struct rzj_value name;
};

struct rzj_macro {
    const struct rzj_node *def; /* a macro or call-block node */
    struct rzj_scope *scope;    /* where it was defined */
};

struct rzj_bound {
    struct rzj_value self;
    const struct rzj_builtin *method;
};

struct rzj_cycler {
    struct rzj_value *items; /* joiner: the separator */
    uint32_t n, pos;         /* joiner: pos is 1 once used */
};

static inline struct rzj_value rzj_none(void)
{
    return (struct rzj_value){.kind = RZJ_NONE};
}

static inline struct rzj_value rzj_bool(bool b)
{
    return (struct rzj_value){.kind = RZJ_BOOL, .u.b = b};
}

static inline struct rzj_value rzj_int(int64_t i)
{
    return (struct rzj_value){.kind = RZJ_INT, .u.i = i};
}

static inline struct rzj_value rzj_float(double f)
{
    return (struct rzj_value){.kind = RZJ_FLOAT, .u.f = f};
}

/* Borrows s; len is below 4 GiB because every string is made under RZJ_MAX_STRING_BYTES. */
static inline struct rzj_value rzj_str(const char *s, size_t len)
{
    return (struct rzj_value){.kind = RZJ_STR, .len = (uint32_t)len, .u.s = s};
}

static inline struct rzj_value rzj_cstr(const char *s)
{
    return rzj_str(s, strlen(s));
}

static inline struct rzj_value rzj_of_list(enum rzj_kind kind, struct rzj_list *list)
{
    return (struct rzj_value){.kind = (uint8_t)kind, .u.list = list};
}

static inline struct rzj_value rzj_of_dict(struct rzj_dict *dict)
{
    return (struct rzj_value){.kind = RZJ_DICT, .u.dict = dict};
}

static inline bool rzj_is_text(struct rzj_value v, const char *text)
{
    return v.kind == RZJ_STR && v.len == strlen(text) && memcmp(v.u.s, text, v.len) == 0;
}

/* int or bool, which is an int in Python; *i is 0 for others. */
static inline bool rzj_is_int(struct rzj_value v, int64_t *i)
{
    *i = v.kind == RZJ_INT ? v.u.i : v.kind == RZJ_BOOL ? v.u.b : 0;
    return v.kind == RZJ_INT || v.kind == RZJ_BOOL;
}

/* int, bool or float. */
bool rzj_is_number(struct rzj_value v, double *f);

/* Python's name of the value's type ("str", "dict", "NoneType"). */
const char *rzj_type_name(struct rzj_value v);
bool rzj_truth(struct rzj_value v);

/* All below: false after rzj_fail. */
bool rzj_equal(struct rzj_ctx *c, struct rzj_value a, struct rzj_value b, bool *equal);
/* a < b; raises for types without an order. */
bool rzj_less(struct rzj_ctx *c, struct rzj_value a, struct rzj_value b, bool *less);
/* Compares a number with a number exactly: negative, 0, positive; 2 if either is NaN. */
int rzj_number_order(struct rzj_value a, struct rzj_value b);

bool rzj_is_iterable(struct rzj_value v);
/* What iter(v) would yield, all at once; takes the rest of a generator. */
bool rzj_items(struct rzj_ctx *c, struct rzj_value v, struct rzj_list *out);
/* len(v); raises where Python does. */
bool rzj_length(struct rzj_ctx *c, struct rzj_value v, int64_t *n);

struct rzj_list *rzj_list_new(struct rzj_ctx *c, size_t n);
/* Appends; *cap is the capacity of list->items. */
bool rzj_list_push(struct rzj_ctx *c, struct rzj_list *list, uint32_t *cap, struct rzj_value v);
struct rzj_dict *rzj_dict_new(struct rzj_ctx *c, size_t cap);
bool rzj_dict_set(struct rzj_ctx *c, struct rzj_dict *d, struct rzj_value key,
                  struct rzj_value value);
/* *found is NULL if there is no such key; raises for an unhashable key. */
bool rzj_dict_get(struct rzj_ctx *c, const struct rzj_dict *d, struct rzj_value key,
                  struct rzj_value **found);

#endif
