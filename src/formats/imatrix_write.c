/* imatrix_write.c - writing importance matrices; imatrix.c has the layouts. */
#include "formats/imatrix.h"

#include "base/fail.h"
#include "formats/file.h"
#include "formats/gguf_writer.h"
#include "formats/out_file.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static uint64_t most_rows(const struct rz_imatrix_sums *s)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < s->n_matrices; i++)
        most = s->counts[i] > most ? s->counts[i] : most;
    return most;
}

/* Reduces n doubles to floats in a buffer and hands them on. */
typedef rz_status write_fn(void *to, const void *data, size_t len, rz_error *err);

static rz_status write_gguf_data(void *to, const void *data, size_t len, rz_error *err)
{
    return rz_gguf_write(to, data, len, err);
}

static rz_status write_dat_data(void *to, const void *data, size_t len, rz_error *err)
{
    return rz_out_file_write(to, data, len, err);
}

/* factor * values as f32. */
static rz_status write_scaled(write_fn *write, void *to, const double *values, size_t n,
                              double factor, rz_error *err)
{
    float part[1024];
    while (n > 0) {
        size_t now = n < RZ_ARRAY_LEN(part) ? n : RZ_ARRAY_LEN(part);
        for (size_t i = 0; i < now; i++)
            part[i] = (float)(factor * values[i]);
        RZ_TRY(write(to, part, now * sizeof *part, err));
        values += now;
        n -= now;
    }
    return RZ_OK;
}

/* ---- GGUF ---- */

static void declare(struct rz_gguf_writer *w, const struct rz_imatrix_sums *s)
{
    char name[RZ_MAX_TENSOR_NAME_BYTES + 1];
    snprintf(name, sizeof name, "%s.in_sum2", s->name);
    rz_gguf_declare(w, name, RZ_F32, 2, (const uint64_t[2]){s->n_matrices, s->n_cols});
    snprintf(name, sizeof name, "%s.counts", s->name);
    rz_gguf_declare(w, name, RZ_F32, 2, (const uint64_t[2]){s->n_matrices, 1});
}

static rz_status write_gguf(const struct rz_imatrix_plan *plan, rz_error *err)
{
    struct rz_gguf_writer *w = NULL;
    const rz_slice dataset = {plan->dataset, strlen(plan->dataset)};
    RZ_TRY(rz_gguf_writer_new(&w, plan->path, err));
    rz_gguf_put_string(w, "general.type", "imatrix");
    rz_gguf_put_strings(w, "imatrix.datasets", &dataset, 1);
    rz_gguf_put_u32(w, "imatrix.chunk_count", plan->n_chunks);
    rz_gguf_put_u32(w, "imatrix.chunk_size", plan->chunk_size);
    for (size_t i = 0; i < plan->n; i++)
        if (most_rows(&plan->sums[i]) > 0)
            declare(w, &plan->sums[i]);
    rz_status status = rz_gguf_begin(w, err);
    for (size_t i = 0; !status && i < plan->n; i++) {
        const struct rz_imatrix_sums *s = &plan->sums[i];
        if (most_rows(s) == 0)
            continue;
        status =
            write_scaled(write_gguf_data, w, s->sum2, (size_t)s->n_matrices * s->n_cols, 1, err);
        for (uint32_t k = 0; !status && k < s->n_matrices; k++) {
            float count = (float)s->counts[k];
            status = rz_gguf_write(w, &count, sizeof count, err);
        }
    }
    if (!status)
        status = rz_gguf_finish(w, err);
    rz_gguf_writer_free(&w);
    return status;
}

/* ---- .dat ---- */

static rz_status write_i32(struct rz_out_file *f, uint64_t value, rz_error *err)
{
    if (value > INT32_MAX)
        return rz_fail(err, RZ_EUSAGE, "%s: too large for the .dat format; use GGUF",
                       rz_out_file_path(f));
    uint32_t v = (uint32_t)value;
    const uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
                              (uint8_t)(v >> 24)};
    return rz_out_file_write(f, bytes, sizeof bytes, err);
}

static rz_status write_text(struct rz_out_file *f, const char *text, rz_error *err)
{
    RZ_TRY(write_i32(f, strlen(text), err));
    return rz_out_file_write(f, text, strlen(text), err);
}

/* The values are means times the number of chunks; an expert without rows gets a mean of 1. */
static rz_status write_dat_entry(struct rz_out_file *f, const struct rz_imatrix_sums *s,
                                 uint32_t chunk_size, rz_error *err)
{
    uint64_t calls = (most_rows(s) + chunk_size - 1) / chunk_size;
    RZ_TRY(write_text(f, s->name, err));
    RZ_TRY(write_i32(f, calls, err));
    RZ_TRY(write_i32(f, (uint64_t)s->n_matrices * s->n_cols, err));
    for (uint32_t k = 0; k < s->n_matrices; k++) {
        const double *sums = s->sum2 + (size_t)k * s->n_cols;
        if (s->counts[k] > 0) {
            RZ_TRY(write_scaled(write_dat_data, f, sums, s->n_cols,
                                (double)calls / (double)s->counts[k], err));
            continue;
        }
        for (uint32_t i = 0; i < s->n_cols; i++) {
            const double one = 1;
            RZ_TRY(write_scaled(write_dat_data, f, &one, 1, (double)calls, err));
        }
    }
    return RZ_OK;
}

static rz_status write_dat(const struct rz_imatrix_plan *plan, rz_error *err)
{
    struct rz_out_file *f = NULL;
    uint64_t n = 0;
    RZ_TRY(rz_out_file_new(&f, plan->path, err));
    for (size_t i = 0; i < plan->n; i++)
        n += most_rows(&plan->sums[i]) > 0;
    rz_status status = write_i32(f, n, err);
    for (size_t i = 0; !status && i < plan->n; i++)
        if (most_rows(&plan->sums[i]) > 0)
            status = write_dat_entry(f, &plan->sums[i], plan->chunk_size, err);
    if (!status)
        status = write_i32(f, plan->n_chunks, err);
    if (!status)
        status = write_text(f, plan->dataset, err);
    if (!status)
        status = rz_out_file_finish(f, err);
    rz_out_file_free(&f);
    return status;
}

rz_status rz_imatrix_write(const struct rz_imatrix_plan *plan, rz_error *err)
{
    return plan->gguf ? write_gguf(plan, err) : write_dat(plan, err);
}
