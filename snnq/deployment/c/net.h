/* A spiking network: its layers, and their weights at their real width. See net.c.
 *
 * Images are laid out [y][x][channel], so that what one input spike changes lies side by side.
 */
#include <stdint.h>
#ifdef INTEGERS
typedef int32_t number; /* sums, potentials */
typedef INTEGERS weight;
typedef int64_t total;
#else
#include <math.h>
typedef float number, weight;
typedef double total;
#endif

/* Pixels down and across. */
struct size {
    int y, x;
};

/* A layer of neurons: a convolution, padded by zeros, or a linear layer, which is a convolution
 * whose kernel is as large as its input. Each group of neurons sees channels of its own.
 *
 * Each row of weights belongs to one input of the kernel, [groups][kernel y][kernel x][channels],
 * and holds a weight for every neuron of the group. Packed, a weight is base + the sum of those
 * units whose bit is set, and a row is [planes][words of 64 bits], neuron n in bit n % 64 of word
 * n / 64. One row of zeros follows the last.
 *
 * For input x = scale * (sum of weights over the spikes) + shift, which holds the quantizer's
 * alpha and batch norm:  h = v + gain (x - leak v);  spike where h >= threshold;  there v = 0, or
 * h - threshold for a soft reset, else h. Where neurons are reset to another value than 0, v and
 * the threshold are what lies above it.
 *
 * Of integers, with every division by a power of two rounded down:
 * x = sum * 2^shift + offset, or (sum + offset) / 2^-shift for a negative shift;
 * h = v - (leak * v + 2^(leak_bits - 1)) / 2^leak_bits + x, between least and most.
 */
struct layer {
    struct size input, output;   /* output: before pooling */
    struct size kernel, stride, padding;
    int groups;
    int channels;                /* of the input, and */
    int neurons;                 /* at each pixel, in one group */
    int planes;                  /* of bits; 0: the weights are float */
    int words;
    int row;                     /* numbers in a row of weights */
    const uint64_t *packed;
    const weight *weights;
    const number *units;
    number base;
#ifdef INTEGERS
    const int8_t *shift;         /* [groups][neurons] */
    const int32_t *offset, *threshold; /* threshold INT32_MAX: it sums up and never spikes */
    int32_t leak, least, most;
    int leak_bits;
#else
    const float *scale, *shift;  /* [groups][neurons] */
    float gain, leak, threshold; /* threshold INFINITY: it sums up and never spikes */
#endif
    int soft;                    /* 1: soft reset */
    struct size pool;            /* what is pooled after it; 1, 1: nothing */
    int pool_adds;               /* 1: spikes of the pixels are added; 0: one is enough (max) */
};
