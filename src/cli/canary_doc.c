/* canary_doc.c - making what a canary file holds. A check repeats the recorded tokens, whatever the
 * model would say by now, so that every step is compared on the same context. */
#include "cli/canary_doc.h"

#include "base/fail.h"
#include "cli/cli.h"
#include "cli/tensor_list.h"

#include <math.h>
#include <string.h>

json_t *cli_canary_tensors(const rz_file *file, rz_tensor_scan *scan, rz_error *err)
{
    json_t *all = json_object();
    for (size_t i = 0; all && i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        rz_tensor_stats s;
        if (rz_tensor_scan_stats(scan, t, &s, err)) {
            json_decref(all);
            return NULL;
        }
        json_t *o = cli_stats_json(&s);
        json_object_set_new(o, "dtype", json_string(rz_dtype_name(t->dtype)));
        json_object_set_new(o, "shape", cli_shape_json(t));
        json_object_set_new(all, t->name, o);
    }
    if (all && json_object_size(all) == rz_file_n_tensors(file))
        return all;
    json_decref(all);
    (void)rz_fail_nomem(err, 0, "the canary");
    return NULL;
}

/* The likeliest tokens, the likeliest first, the lower id first among equals. */
static size_t find_top(const float *logits, uint32_t n_vocab, int32_t top[CLI_CANARY_TOP])
{
    size_t n = 0;
    for (uint32_t i = 0; i < n_vocab; i++) {
        size_t at = n;
        while (at > 0 && logits[i] > logits[top[at - 1]])
            at--;
        if (at == CLI_CANARY_TOP)
            continue;
        n += n < CLI_CANARY_TOP;
        for (size_t j = n - 1; j > at; j--)
            top[j] = top[j - 1];
        top[at] = (int32_t)i;
    }
    return n;
}

static json_t *logit_json(int32_t id, const float *logits)
{
    return json_pack("{si so}", "id", (int)id, "logit", cli_json_real((double)logits[id]));
}

/* One step: the model's own choice, and the logits of those tokens that the record has, or of the
 * likeliest where this is the record. */
static json_t *step_json(const float *logits, uint32_t n_vocab, const json_t *recorded,
                         int32_t *choice)
{
    int32_t top[CLI_CANARY_TOP] = {0};
    size_t n = find_top(logits, n_vocab, top);
    *choice = top[0];
    json_t *list = json_array();
    const json_t *wanted = json_object_get(recorded, "top");
    for (size_t i = 0; !recorded && i < n; i++)
        json_array_append_new(list, logit_json(top[i], logits));
    for (size_t i = 0; recorded && i < json_array_size(wanted); i++) {
        json_int_t id = json_integer_value(json_object_get(json_array_get(wanted, i), "id"));
        if (id >= 0 && id < n_vocab)
            json_array_append_new(list, logit_json((int32_t)id, logits));
    }
    return json_pack("{si so}", "token", (int)top[0], "top", list);
}

json_t *cli_canary_steps(const struct cli_canary_run *run, rz_error *err)
{
    uint32_t n_vocab = rz_model_get_info(run->l->model)->n_vocab;
    rz_session *session = run->l->session;
    json_t *steps = json_array();
    rz_session_truncate(session, 0);
    rz_status status = steps ? RZ_OK : rz_fail_nomem(err, 0, "the canary");
    if (!status)
        status = cli_check_context(run->l, run->n_ids + run->n_steps, err);
    if (!status)
        status = rz_session_feed(session, run->ids, run->n_ids, err);
    for (size_t i = 0; !status && i < run->n_steps; i++) {
        const json_t *recorded = json_array_get(run->forced, i);
        int32_t token = 0;
        json_t *step = step_json(rz_session_logits(session), n_vocab, recorded, &token);
        if (json_array_append_new(steps, step))
            status = rz_fail_nomem(err, 0, "the canary");
        if (recorded)
            token = (int32_t)json_integer_value(json_object_get(recorded, "token"));
        if (!status && i + 1 < run->n_steps)
            status = rz_session_feed(session, &token, 1, err);
    }
    if (!status)
        return steps;
    json_decref(steps);
    return NULL;
}
