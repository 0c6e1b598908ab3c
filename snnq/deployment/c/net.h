/* A spiking network: its layers, and their weights at their real width. See net.c.
 *
 * Images are laid out [y][x][channel], so that what one input spike changes lies side by side.
 */
#include <math.h>
#include <stdint.h>

/* A layer of neurons: a 3x3 convolution padded by one pixel (kernel 3), or a linear layer, which
 * is a convolution over a single pixel (kernel 1) of as many channels as it has inputs.
 *
 * Each row of weights belongs to one input of the kernel, [kernel][kernel][channels], and holds a
 * weight for every neuron. Packed, a weight is base + the sum of those units whose bit is set, and
 * a row is [planes][words of 64 bits], neuron n in bit n % 64 of word n / 64. One row of zeros
 * follows the last.
 *
 * For input x = scale * (sum of weights over the spikes) + shift, which holds the quantizer's
 * alpha and batch norm:  h = v + gain (x - leak v);  spike where h >= threshold;  v = 0 there,
 * else h.
 */
struct layer {
    int channels, height, width; /* of its input */
    int kernel;
    int neurons;                 /* at each pixel */
    int planes;                  /* of bits; 0: the weights are float */
    int words;
    int row;                     /* numbers in a row of weights */
    const uint64_t *packed;
    const float *weights;
    const float *units;
    float base;
    const float *scale, *shift;  /* [neurons] */
    float gain, leak, threshold; /* threshold INFINITY: it sums up and never spikes */
    int pool;                    /* after it, over pool x pool pixels; 1: none */
    int pool_adds;               /* 1: spikes of the pixels are added; 0: one is enough (max) */
};
