/* encode_tables.c - the grid of each type that has a search, and where the search begins. */
#include "base/fail.h"
#include "quant/search.h"

/* Found by trying: the sets of few looks whose errors were the smallest, over normal, heavy-tailed
 * and a trained model's columns, without importance and with it. */
static const struct rz_look q4_1_few_looks[] = {{-0.07f, 0.44f}, {0.38f, 0.04f}};
static const struct rz_look q4_1_looks[] = {{-2.07f, 0.06f}, {0.14f, 0.1f},  {0.14f, 1.46f},
                                            {0.05f, -1.12f}, {1.51f, 0.29f}, {-0.08f, 0.48f},
                                            {0.4f, -0.31f},  {0.95f, 1.06f}};
static const struct rz_look q5_1_few_looks[] = {{0, 0.01f}, {0.39f, -0.56f}};
static const struct rz_look q5_1_looks[] = {{-1, -0.98f},    {0.3f, 0.08f},   {-0.16f, 0.77f},
                                            {-1.31f, 0.06f}, {0.65f, -0.12f}, {0.01f, 0.32f},
                                            {0.14f, -1.23f}, {0.32f, 2.15f}};
static const struct rz_look q2_k_looks[] = {{-0.11f, 0.17f}, {0.57f, 0.45f}, {0.23f, 1.12f},
                                            {0.29f, -0.21f}, {1, 0.18f},     {0.25f, 0.69f},
                                            {1.55f, 0.12f},  {-0.02f, 1.65f}};
static const struct rz_look q4_k_looks[] = {{-2.1f, 0.06f},  {0.41f, -0.04f}, {-0.01f, 0.76f},
                                            {-0.99f, 0.16f}, {1.38f, 0.6f},   {0.04f, 0.26f},
                                            {1.79f, 0.02f},  {-0.02f, 1.54f}};
static const struct rz_look q5_k_looks[] = {{-1.1f, -0.96f},  {0.04f, 0.39f},  {-1.42f, 0.01f},
                                            {-2.12f, -1.25f}, {0.92f, -0.03f}, {-0.82f, -0.02f},
                                            {0.35f, 0.11f},   {-0.24f, 0.93f}};
static const struct rz_look q6_k_looks[] = {{-1.145f, 0}, {1.229f, 0}, {-0.993f, 0},
                                            {1.066f, 0},  {0.994f, 0}, {-1.067f, 0}};
static const struct rz_look q3_k_looks[] = {{0.972f, 0},  {0.549f, 0}, {-0.499f, 0},
                                            {-0.743f, 0}, {0.77f, 0},  {-0.937f, 0}};
static const struct rz_look q4_0_looks[] = {
    {1.25f, 0},  {-1.25f, 0},  {1.134f, 0}, {-1.134f, 0}, {1.038f, 0}, {-1.038f, 0},
    {0.957f, 0}, {-0.957f, 0}, {0.887f, 0}, {-0.887f, 0}, {0.827f, 0}, {-0.827f, 0},
    {0.775f, 0}, {-0.775f, 0}, {0.728f, 0}, {-0.728f, 0}, {0.688f, 0}, {-0.688f, 0},
    {0.651f, 0}, {-0.651f, 0}, {0.618f, 0}, {-0.618f, 0}, {0.588f, 0}, {-0.588f, 0}};
static const struct rz_look q5_0_looks[] = {
    {1.333f, 0}, {-1.333f, 0}, {1.236f, 0}, {-1.236f, 0}, {1.152f, 0}, {-1.152f, 0},
    {1.078f, 0}, {-1.078f, 0}, {1.014f, 0}, {-1.014f, 0}, {0.957f, 0}, {-0.957f, 0},
    {0.905f, 0}, {-0.905f, 0}, {0.859f, 0}, {-0.859f, 0}, {0.818f, 0}, {-0.818f, 0},
    {0.78f, 0},  {-0.78f, 0},  {0.746f, 0}, {-0.746f, 0}, {0.714f, 0}, {-0.714f, 0}};
static const struct rz_look iq4_looks[] = {
    {1.333f, 0}, {-1.333f, 0}, {1.222f, 0}, {-1.222f, 0}, {1.128f, 0}, {-1.128f, 0},
    {1.048f, 0}, {-1.048f, 0}, {0.978f, 0}, {-0.978f, 0}, {0.917f, 0}, {-0.917f, 0},
    {0.863f, 0}, {-0.863f, 0}, {0.815f, 0}, {-0.815f, 0}, {0.772f, 0}, {-0.772f, 0},
    {0.733f, 0}, {-0.733f, 0}, {0.698f, 0}, {-0.698f, 0}, {0.667f, 0}, {-0.667f, 0}};

#define LOOKS(table_)                                                                              \
    {                                                                                              \
        table_, RZ_ARRAY_LEN(table_)                                                               \
    }

/* Two lines for each type: pack, groups, columns of a group, has_min, levels, q, scales, mins,
 * extreme q, looks without and with importance. */
/* clang-format off */
const struct rz_grid rz_grids[RZ_N_DTYPES] = {
    [RZ_Q4_0] = {rz_pack_q4_0, 1, 32, false, false, -8, 7, 1, 1, 1, -8,
        {NULL, 0}, LOOKS(q4_0_looks)},
    [RZ_Q4_1] = {rz_pack_q4_1, 1, 32, true, false, 0, 15, 1, 1, 1, 0,
        LOOKS(q4_1_few_looks), LOOKS(q4_1_looks)},
    [RZ_Q5_0] = {rz_pack_q5_0, 1, 32, false, false, -16, 15, 1, 1, 1, -16,
        {NULL, 0}, LOOKS(q5_0_looks)},
    [RZ_Q5_1] = {rz_pack_q5_1, 1, 32, true, false, 0, 31, 1, 1, 1, 0,
        LOOKS(q5_1_few_looks), LOOKS(q5_1_looks)},
    [RZ_Q8_0] = {rz_pack_q8_0, 1, 32, false, false, -127, 127, 1, 1, 1, 127,
        {NULL, 0}, {NULL, 0}},
    [RZ_Q2_K] = {rz_pack_q2_k, 16, 16, true, false, 0, 3, 0, 15, 15, 0,
        LOOKS(q2_k_looks), LOOKS(q2_k_looks)},
    [RZ_Q3_K] = {rz_pack_q3_k, 16, 16, false, false, -4, 3, -32, 31, 0, 0,
        LOOKS(q3_k_looks), LOOKS(q3_k_looks)},
    [RZ_Q4_K] = {rz_pack_q4_k, 8, 32, true, false, 0, 15, 0, 63, 63, 0,
        LOOKS(q4_k_looks), LOOKS(q4_k_looks)},
    [RZ_Q5_K] = {rz_pack_q5_k, 8, 32, true, false, 0, 31, 0, 63, 63, 0,
        LOOKS(q5_k_looks), LOOKS(q5_k_looks)},
    [RZ_Q6_K] = {rz_pack_q6_k, 16, 16, false, false, -32, 31, -128, 127, 0, 0,
        LOOKS(q6_k_looks), LOOKS(q6_k_looks)},
    [RZ_IQ4_NL] = {rz_pack_iq4_nl, 1, 32, false, true, -127, 113, 1, 1, 1, 0,
        LOOKS(iq4_looks), LOOKS(iq4_looks)},
    [RZ_IQ4_XS] = {rz_pack_iq4_xs, 8, 32, false, true, -127, 113, -32, 31, 0, 0,
        LOOKS(iq4_looks), LOOKS(iq4_looks)},
};
/* clang-format on */
