/* input.c - lines from the person. With libedit a terminal's lines can be edited and come back from
 * the history; without it, or from a pipe, they are read as they are. */
#include "cli/input.h"

#include "base/fail.h"
#include "cli/cli.h"
#include "cli/history.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#ifdef RZ_HAVE_LIBEDIT
#include <histedit.h>
#endif

struct cli_input {
    bool is_terminal;
    const char *prompt;
    FILE *echo; /* where prompts go: stdout if it is a terminal, else stderr */
#ifdef RZ_HAVE_LIBEDIT
    EditLine *editor; /* NULL: plain reads */
    History *history;
    char *history_path; /* NULL: nowhere */
    bool interrupted;   /* Ctrl-C ended the line that was being edited */
#endif
};

#ifdef RZ_HAVE_LIBEDIT
static char *editor_prompt(EditLine *editor)
{
    void *in = NULL;
    static char prompt[16];
    el_get(editor, EL_CLIENTDATA, &in);
    snprintf(prompt, sizeof prompt, "%s", ((const struct cli_input *)in)->prompt);
    return prompt;
}

static unsigned char editor_interrupt(EditLine *editor, int c)
{
    (void)c;
    void *in = NULL;
    el_get(editor, EL_CLIENTDATA, &in);
    ((struct cli_input *)in)->interrupted = true;
    return CC_EOF;
}

/* While a line is edited Ctrl-C is a key like any other: a signal that came just before the read
 * would leave the read waiting. */
static void bind_interrupt(EditLine *editor)
{
    /* The mask keeps libedit from setting the character again. */
    el_set(editor, EL_SETTY, "-d", "-intr", "intr=", NULL);
    /* By wide characters, because el_set's copies of the two are never freed. */
    el_wset(editor, EL_ADDFN, L"apr-interrupt", L"give the line up", editor_interrupt);
    el_set(editor, EL_BIND, "^C", "apr-interrupt", NULL);
}

static void open_editor(struct cli_input *in)
{
    HistEvent event;
    in->editor = el_init("apr", stdin, in->echo, stderr);
    in->history = history_init();
    if (!in->editor || !in->history)
        return;
    el_set(in->editor, EL_CLIENTDATA, in);
    el_set(in->editor, EL_PROMPT, editor_prompt);
    el_set(in->editor, EL_EDITOR, "emacs");
    el_set(in->editor, EL_SIGNAL, 0);
    history(in->history, &event, H_SETSIZE, CLI_HISTORY_LINES);
    history(in->history, &event, H_SETUNIQUE, 1);
    el_set(in->editor, EL_HIST, history, in->history);
    el_source(in->editor, NULL);
    bind_interrupt(in->editor);
    in->history_path = cli_history_path();
    if (in->history_path && !access(in->history_path, F_OK) &&
        history(in->history, &event, H_LOAD, in->history_path) < 0)
        cli_note("the history %s cannot be read", in->history_path);
}

static void close_editor(struct cli_input *in)
{
    HistEvent event;
    if (in->history && in->history_path) {
        FILE *file = cli_history_create(in->history_path);
        bool ok = file && history(in->history, &event, H_SAVE_FP, file) >= 0;
        if (!cli_history_finish(in->history_path, file, ok))
            cli_note("the history %s cannot be written", in->history_path);
    }
    if (in->history)
        history_end(in->history);
    if (in->editor)
        el_end(in->editor);
    free(in->history_path);
}

static void remember(struct cli_input *in, const struct rz_buf *text)
{
    HistEvent event;
    if (in->editor && in->history && text->len)
        history(in->history, &event, H_ENTER, text->data);
}

/* One edited line appended to text, its line feed included. */
static enum cli_input_result edited_line(struct cli_input *in, struct rz_buf *text, rz_error *err)
{
    int n = 0;
    const char *line = NULL;
    in->interrupted = false;
    /* Before the prompt, not after it as el_gets does: an answer to the prompt must not meet the
     * line discipline, to which Ctrl-D and Ctrl-C mean something else. */
    el_set(in->editor, EL_PREP_TERM, 1);
    if (!cli_interrupted())
        line = el_gets(in->editor, &n);
    el_set(in->editor, EL_PREP_TERM, 0);
    if (in->interrupted || cli_interrupted()) {
        fputc('\n', in->echo);
        el_reset(in->editor);
        return CLI_INPUT_INTERRUPT;
    }
    if (!line || n <= 0)
        return CLI_INPUT_END;
    if (rz_buf_add(text, line, (size_t)n))
        return CLI_INPUT_TEXT;
    rz_fail(err, RZ_EUSAGE, "a message of more than %zu bytes", text->max);
    return CLI_INPUT_FAILED;
}
#endif

rz_status cli_input_open(struct cli_input **out, rz_error *err)
{
    struct cli_input *in = calloc(1, sizeof *in);
    if (!in)
        return rz_fail_nomem(err, sizeof *in, "line input");
    in->is_terminal = isatty(STDIN_FILENO);
    in->echo = isatty(STDOUT_FILENO) ? stdout : stderr;
#ifdef RZ_HAVE_LIBEDIT
    if (in->is_terminal)
        open_editor(in);
#endif
    *out = in;
    return RZ_OK;
}

void cli_input_close(struct cli_input **in)
{
    if (!*in)
        return;
#ifdef RZ_HAVE_LIBEDIT
    close_editor(*in);
#endif
    free(*in);
    *in = NULL;
}

bool cli_input_is_terminal(const struct cli_input *in)
{
    return in->is_terminal;
}

/* One line as it comes, appended to text, its line feed included. */
static enum cli_input_result plain_line(struct cli_input *in, struct rz_buf *text, rz_error *err)
{
    if (in->is_terminal) {
        fputs(in->prompt, in->echo);
        fflush(in->echo);
    }
    size_t before = text->len;
    int c;
    while ((c = getc(stdin)) != EOF) {
        if (!rz_buf_char(text, (char)c)) {
            rz_fail(err, RZ_EUSAGE, "a message of more than %zu bytes", text->max);
            return CLI_INPUT_FAILED;
        }
        if (c == '\n')
            return CLI_INPUT_TEXT;
    }
    int reason = errno;
    bool failed = ferror(stdin);
    clearerr(stdin);
    if (cli_interrupted()) {
        if (in->is_terminal)
            fputc('\n', in->echo);
        return CLI_INPUT_INTERRUPT;
    }
    if (failed) {
        rz_fail(err, RZ_EIO, "standard input cannot be read: %s", strerror(reason));
        return CLI_INPUT_FAILED;
    }
    return text->len > before ? CLI_INPUT_TEXT : CLI_INPUT_END;
}

static enum cli_input_result read_line(struct cli_input *in, const char *prompt,
                                       struct rz_buf *text, rz_error *err)
{
    in->prompt = prompt;
#ifdef RZ_HAVE_LIBEDIT
    if (in->editor && in->history)
        return edited_line(in, text, err);
#endif
    return plain_line(in, text, err);
}

static void cut(struct rz_buf *text, size_t len)
{
    text->len = len;
    if (text->data)
        text->data[len] = '\0';
}

static size_t line_end(const struct rz_buf *text)
{
    size_t len = text->len;
    if (len && text->data[len - 1] == '\n')
        len--;
    if (len && text->data[len - 1] == '\r')
        len--;
    return len;
}

/* Reads on until a line that ends with """; text holds what came after the opening one. */
static enum cli_input_result read_block(struct cli_input *in, struct rz_buf *text, rz_error *err)
{
    for (;;) {
        size_t len = line_end(text);
        if (len >= 3 && !memcmp(text->data + len - 3, "\"\"\"", 3)) {
            cut(text, len - 3);
            cut(text, line_end(text));
            return CLI_INPUT_TEXT;
        }
        enum cli_input_result r = read_line(in, "\"\"\" ", text, err);
        if (r == CLI_INPUT_END) { /* an unclosed block ends with the input */
            cut(text, line_end(text));
            return CLI_INPUT_TEXT;
        }
        if (r != CLI_INPUT_TEXT)
            return r;
    }
}

enum cli_input_result cli_input_message(struct cli_input *in, struct rz_buf *text, rz_error *err)
{
    cut(text, 0);
    enum cli_input_result r = read_line(in, ">>> ", text, err);
    if (r == CLI_INPUT_END && in->is_terminal)
        fputc('\n', in->echo);
    if (r != CLI_INPUT_TEXT)
        return r;
    if (text->len >= 3 && !memcmp(text->data, "\"\"\"", 3)) {
        size_t skip = text->len > 3 && text->data[3] == '\n' ? 4 : 3;
        memmove(text->data, text->data + skip, text->len - skip);
        cut(text, text->len - skip);
        r = read_block(in, text, err);
    } else {
        while (r == CLI_INPUT_TEXT && line_end(text) && text->data[line_end(text) - 1] == '\\') {
            cut(text, line_end(text) - 1);
            rz_buf_char(text, '\n');
            r = read_line(in, "... ", text, err);
        }
        if (r == CLI_INPUT_END)
            r = CLI_INPUT_TEXT;
        cut(text, line_end(text));
    }
#ifdef RZ_HAVE_LIBEDIT
    if (r == CLI_INPUT_TEXT)
        remember(in, text);
#endif
    return r;
}
