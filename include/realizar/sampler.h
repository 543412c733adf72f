/* sampler.h - from logits to the next token.
 *
 * Order of operations: logit bias, repetition / frequency / presence penalties over the last
 * repeat_last_n tokens, then greedy if temperature is 0, else temperature, top-k, top-p, min-p and
 * one draw. The draw depends on the seed, the logits and the tokens so far alone. */
#ifndef REALIZAR_SAMPLER_H
#define REALIZAR_SAMPLER_H

#include <realizar/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rz_logit_bias {
    int32_t id;
    float bias; /* added to the logit; -INFINITY forbids the token */
} rz_logit_bias;

typedef struct rz_sampler_options {
    float temperature;       /* >= 0; 0: greedy, ties to the lowest id */
    uint32_t top_k;          /* 0: off */
    float top_p;             /* (0, 1]; 1: off */
    float min_p;             /* [0, 1]; 0: off */
    float repeat_penalty;    /* > 0; 1: off. Keskar et al. 2019, CTRL: divides positive, multiplies
                                negative logits */
    float frequency_penalty; /* [-2, 2]; 0: off. times the token's count, subtracted */
    float presence_penalty;  /* [-2, 2]; 0: off. subtracted once if the token occurred */
    uint32_t repeat_last_n;  /* window of the three penalties, tokens; 0: none */
    uint64_t seed;
    const rz_logit_bias *bias; /* [n_bias], copied by rz_sampler_new */
    size_t n_bias;
} rz_sampler_options;

/* Greedy: temperature 0, everything off, repeat_last_n 64, seed 299792458. */
RZ_API rz_sampler_options rz_sampler_options_default(void);

/* Overwrites *options with what the model's file recommends (general.sampling.* keys of GGUF: temp,
 * top_k, top_p, min_p, penalty_repeat ...); absent keys leave a field as it is. *found tells
 * whether there was any. */
RZ_API RZ_MUST_USE rz_status rz_sampler_options_from_file(rz_sampler_options *options,
                                                          const rz_file *file, bool *found,
                                                          rz_error *err);

typedef struct rz_sampler rz_sampler;

/* Errors: RZ_EUSAGE (an option out of range, a bias id outside the vocabulary), RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_sampler_new(rz_sampler **out, uint32_t n_vocab,
                                            const rz_sampler_options *options, rz_error *err);
RZ_API void rz_sampler_free(rz_sampler **sampler);

/* Picks the next token from logits [n_vocab] (not changed). history: the n_history tokens before
 * it, for the penalties. No allocation. Errors: RZ_EINFER (a NaN, or no token is possible). */
RZ_API RZ_MUST_USE rz_status rz_sampler_sample(rz_sampler *sampler, const float *logits,
                                               const int32_t *history, size_t n_history,
                                               int32_t *id, rz_error *err);

/* The probability that the last sample gave the picked token among those it kept, and how many
 * those were. */
RZ_API float rz_sampler_last_prob(const rz_sampler *sampler, uint32_t *n_candidates);

#ifdef __cplusplus
}
#endif
#endif
