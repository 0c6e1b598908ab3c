/* Event-driven inference of the spiking network in net.h, with the C library alone.
 *
 *     gcc -std=c99 -O3 net.c -o net
 *     ./net [-p potentials] frames ...
 *
 * prints a line for each recording: the predicted class, how many weights were added up
 * (synaptic operations), and the firing rate of each class. With -p, the membrane potentials of
 * all neurons after every time step go to a file, as float [recording][step][layer][y][x][channel]
 * (see net.h for neurons that are reset to another value than 0).
 *
 * Of a network of integers (INTEGERS in net.h) nothing here is a floating-point number: the
 * potentials are int32_t, and in place of rates stand how often each class's neurons spiked.
 *
 * A file of frames holds "SNNF" and six little-endian 32-bit numbers: version 1, recordings, time
 * steps, channels, height, width; then one byte per count, [recording][step][channel][y][x].
 * Whatever else it may hold is refused: a line on standard error, and 1 as exit status in the end.
 */
#include <stdio.h>
#include <string.h>

#include "net.h"

#define HEADER 28
#define VERSION 1
#define IMAGE (CHANNELS * HEIGHT * WIDTH)
#define GROUP 8 /* rows that are counted at a time */

static uint8_t frame[IMAGE];         /* one time step, as in the file */
static uint8_t inputs[ACTIVATIONS];  /* of the layer at work: spikes, or counts */
static uint8_t spikes[ACTIVATIONS];  /* its output */
static number potentials[NEURONS];   /* of all layers */
static number sums[64 * WORDS];      /* of the weights, for the neurons of one pixel */
static uint32_t first[PIXELS + 1];   /* event of each pixel */
static uint32_t place[ACTIVATIONS];  /* of each event: its channel, in its line */
static uint8_t count[ACTIVATIONS];
static uint32_t rows[GATHERED + GROUP]; /* offsets of the rows to add up for one pixel */
static uint8_t counts[GATHERED + GROUP];
static unsigned long long operations;

/* Lists a group's inputs that are not zero; those of pixel p are first[p] to first[p + 1] - 1. */
static void list_events(const struct layer *l, int group)
{
    uint32_t n = 0;
    int pixels = l->input.y * l->input.x;
    for (int p = 0; p < pixels; p++) {
        const uint8_t *in = inputs + (p * l->groups + group) * l->channels;
        first[p] = n;
        for (int c = 0; c < l->channels; c++) {
            /* Stays if there is an event, else is overwritten: no branch to be mispredicted. */
            place[n] = (uint32_t)((p % l->input.x * l->channels + c) * l->row);
            count[n] = *in;
            n += *in++ > 0;
        }
    }
    first[pixels] = n;
}

static int within(int x, int most)
{
    return x < 0 ? 0 : x < most ? x : most;
}

/* Finds the rows that belong to the events around a pixel; returns how many. Pixels of a line
 * follow each other, and so do their events and the rows of a line of the kernel. */
static int gather(const struct layer *l, int group, int y, int x)
{
    int n = 0, top = y * l->stride.y - l->padding.y, left = x * l->stride.x - l->padding.x;
    int from = within(left, l->input.x), to = within(left + l->kernel.x, l->input.x);
    for (int ky = 0; ky < l->kernel.y; ky++) {
        int iy = top + ky;
        if (iy < 0 || iy >= l->input.y)
            continue;
        uint32_t e = first[iy * l->input.x + from], end = first[iy * l->input.x + to];
        int line = (group * l->kernel.y + ky) * l->kernel.x;
        uint32_t shift = (uint32_t)((line - left) * l->channels * l->row);
        for (; e < end; e++, n++) {
            rows[n] = place[e] + shift;
            counts[n] = count[e];
        }
    }
    return n;
}

/* Puts the row of an event of count n there n times, for layers that can only add. */
static int repeat(int n)
{
    int all = n;
    for (int i = 0; i < n; i++)
        for (int k = 1; k < counts[i]; k++)
            rows[all++] = rows[i];
    return all;
}

static void sum_weights(const struct layer *l, int n)
{
    for (int c = 0; c < l->neurons; c++)
        sums[c] = 0;
    for (int i = 0; i < n; i++) {
        const weight *row = l->weights + rows[i];
        number k = counts[i];
        for (int c = 0; c < l->neurons; c++)
            sums[c] += k * row[c];
    }
}

/* Adds three bits at each of 64 places: two times the carry, and the sum. */
static uint64_t add_bits(uint64_t *sum, uint64_t a, uint64_t b)
{
    uint64_t either = *sum ^ a, carry = (*sum & a) | (either & b);
    *sum = either ^ b;
    return carry;
}

/* Counts the set bits at each of 64 places over n rows, a multiple of eight: digit d of the 64
 * binary numbers is digits[d]. No weight is unpacked; eight rows take seven additions of 64 bits
 * and a carry. (Harley and Seal's way of counting bits.) */
static void count_bits(const uint64_t *word, int n, uint64_t *digits)
{
    for (int i = 0; i < n; i += GROUP) {
        uint64_t twos[4], fours[2], carry;
        for (int k = 0; k < 4; k++)
            twos[k] = add_bits(&digits[0], word[rows[i + 2 * k]], word[rows[i + 2 * k + 1]]);
        for (int k = 0; k < 2; k++)
            fours[k] = add_bits(&digits[1], twos[2 * k], twos[2 * k + 1]);
        carry = add_bits(&digits[2], fours[0], fours[1]);
        for (int d = 3; carry; d++) {
            uint64_t both = digits[d] & carry;
            digits[d] ^= carry;
            carry = both;
        }
    }
}

/* Mirrors 8 rows of 8 bits along the diagonal: bit i of byte k becomes bit k of byte i. */
static uint64_t transpose(uint64_t x)
{
    uint64_t t = (x ^ (x >> 7)) & 0x00aa00aa00aa00aau;
    x ^= t ^ (t << 7);
    t = (x ^ (x >> 14)) & 0x0000cccc0000ccccu;
    x ^= t ^ (t << 14);
    t = (x ^ (x >> 28)) & 0x00000000f0f0f0f0u;
    return x ^ t ^ (t << 28);
}

/* Adds the 64 numbers with these binary digits, each times unit, to 64 sums. */
static void add_numbers(const uint64_t *digits, int many, number unit, number *sum)
{
    for (int from = 0; from < many; from += 8, unit *= 256)
        for (int byte = 0; byte < 8; byte++) {
            uint64_t x = 0;
            for (int d = 0; d < 8; d++)
                x |= (digits[from + d] >> (8 * byte) & 255) << (8 * d);
            x = transpose(x);
            for (int c = 0; c < 8; c++)
                sum[8 * byte + c] += unit * (number)(x >> (8 * c) & 255);
        }
}

static void sum_packed(const struct layer *l, int n)
{
    int many = 0;
    while (n >> many)
        many++;
    for (int i = n; i < n + GROUP; i++) /* rows of zeros fill the last group */
        rows[i] = (uint32_t)(l->groups * l->kernel.y * l->kernel.x * l->channels * l->row);
    for (int c = 0; c < 64 * l->words; c++)
        sums[c] = l->base * (number)n;
    for (int plane = 0; plane < l->planes; plane++)
        for (int word = 0; word < l->words; word++) {
            uint64_t digits[32] = {0};
            count_bits(l->packed + plane * l->words + word, n, digits);
            add_numbers(digits, many, l->units[plane], sums + 64 * word);
        }
}

#ifdef INTEGERS
/* x / 2^n, rounded down: what >> does to negative numbers is not C's to say. */
static int32_t shifted(int32_t x, int n)
{
    return x < 0 ? ~(~x >> n) : x >> n;
}

static int32_t clamped(int32_t h, int32_t least, int32_t most)
{
    return h < least ? least : h > most ? most : h;
}

/* One time step of a group's neurons at one pixel. */
static void fire(const struct layer *l, int group, int32_t *restrict v, uint8_t *restrict spike)
{
    int first_neuron = group * l->neurons;
    int32_t half = ((int32_t)1 << l->leak_bits) >> 1;
    for (int c = 0; c < l->neurons; c++) {
        int f = l->shift[first_neuron + c];
        int32_t b = l->offset[first_neuron + c], threshold = l->threshold[first_neuron + c];
        int32_t x = f < 0 ? shifted(sums[c] + b, -f) : sums[c] * ((int32_t)1 << f) + b;
        int32_t h = v[c] - shifted(l->leak * v[c] + half, l->leak_bits) + x;
        h = clamped(h, l->least, l->most);
        spike[c] = h >= threshold;
        v[c] = h < threshold ? h : l->soft ? h - threshold : 0;
    }
}
#else
/* One time step of a group's neurons at one pixel. That nothing overlaps (restrict) lets a compiler
 * take several at a time. */
static void fire(const struct layer *l, int group, float *restrict v, uint8_t *restrict spike)
{
    int neurons = l->neurons, soft = l->soft;
    const float *scale = l->scale + group * neurons, *shift = l->shift + group * neurons;
    float gain = l->gain, leak = l->leak, threshold = l->threshold;
    for (int c = 0; c < neurons; c++) {
        float x = scale[c] * sums[c] + shift[c];
        float h = v[c] + gain * (x - leak * v[c]);
        float after = soft ? h - threshold : 0;
        spike[c] = h >= threshold;
        v[c] = h >= threshold ? after : h;
    }
}
#endif

/* Puts the spikes of one pixel to those of the pixels that it is pooled with. */
static void merge(int neurons, int adds, const uint8_t *restrict spike, uint8_t *restrict pooled)
{
    for (int c = 0; c < neurons; c++)
        pooled[c] = (uint8_t)(adds ? pooled[c] + spike[c] : pooled[c] | spike[c]);
}

/* Spikes to the inputs of the next layer. */
static void pool(const struct layer *l)
{
    struct size size = l->pool;
    int width = l->output.x / size.x, height = l->output.y / size.y;
    int neurons = l->groups * l->neurons;
    memset(inputs, 0, (size_t)(width * height * neurons));
    for (int y = 0; y < height * size.y; y++)
        for (int x = 0; x < width * size.x; x++)
            merge(neurons, l->pool_adds, spikes + (y * l->output.x + x) * neurons,
                  inputs + (y / size.y * width + x / size.x) * neurons);
}

/* Takes one group of a layer, whose potentials are v, one time step on. */
static void advance(const struct layer *l, int group, number *v)
{
    list_events(l, group);
    for (int y = 0; y < l->output.y; y++)
        for (int x = 0; x < l->output.x; x++) {
            int n = gather(l, group, y, x);
            int at = ((y * l->output.x + x) * l->groups + group) * l->neurons;
            if (l->planes)
                n = repeat(n);
            operations += (unsigned long long)n * (unsigned)l->neurons;
            l->planes ? sum_packed(l, n) : sum_weights(l, n);
            fire(l, group, v + at, spikes + at);
        }
}

/* Takes all layers one time step on; returns the potentials of the last. */
static const number *step(void)
{
    number *v = potentials, *next = potentials;
    for (int i = 0; i < CHANNELS; i++)
        for (int p = 0; p < HEIGHT * WIDTH; p++)
            inputs[p * CHANNELS + i] = frame[i * HEIGHT * WIDTH + p];
    for (const struct layer *l = layers; l < layers + LAYERS; l++) {
        v = next;
        for (int group = 0; group < l->groups; group++)
            advance(l, group, v);
        pool(l);
        next = v + l->output.y * l->output.x * l->groups * l->neurons;
    }
    return v;
}

static int refuse(const char *path, const char *why)
{
    fprintf(stderr, "%s: %s\n", path, why);
    return 0;
}

static int expect(const char *path, const char *what, uint64_t found, uint64_t expected)
{
    if (found != expected)
        fprintf(stderr, "%s: %s %llu, expected %llu\n", path, what, (unsigned long long)found,
                (unsigned long long)expected);
    return found == expected;
}

#ifdef INTEGERS
/* Adds how many of each class's voters spike; or takes what a layer without spikes has summed up. */
static void read_out(int64_t *votes, const int32_t *v)
{
    for (int c = 0; c < CLASSES; c++) {
        int64_t sum = 0;
        for (int i = c * VOTERS; i < (c + 1) * VOTERS; i++)
            sum += SPIKING ? inputs[i] : v[i];
        votes[c] = (SPIKING ? votes[c] : 0) + sum;
    }
}

static void print_line(const int64_t *votes, uint32_t steps)
{
    int best = 0;
    (void)steps;
    for (int c = 0; c < CLASSES; c++)
        if (votes[c] > votes[best])
            best = c;
    printf("%d %llu", best, operations);
    for (int c = 0; c < CLASSES; c++)
        printf(" %lld", (long long)votes[c]);
    printf("\n");
}
#else
/* Adds the shares of each class's voters that spike, at the pixels that were pooled; or takes what
 * a layer without spikes has summed up. In double, so that the order of the steps does not matter. */
static void read_out(double *rates, const float *v)
{
    const struct layer *last = layers + LAYERS - 1;
    int most = VOTERS * (last->pool_adds ? last->pool.y * last->pool.x : 1);
    for (int c = 0; c < CLASSES; c++) {
        float votes = 0;
        for (int i = c * VOTERS; i < (c + 1) * VOTERS; i++)
            votes += SPIKING ? (float)inputs[i] : v[i];
        rates[c] = (SPIKING ? rates[c] : 0) + votes / (float)most;
    }
}

static void print_line(const double *totals, uint32_t steps)
{
    float rates[CLASSES];
    int best = 0;
    for (int c = 0; c < CLASSES; c++) {
        rates[c] = (float)(totals[c] / steps);
        if (rates[c] > rates[best])
            best = c;
    }
    printf("%d %llu", best, operations);
    for (int c = 0; c < CLASSES; c++)
        printf(" %.9g", (double)rates[c]);
    printf("\n");
}
#endif

/* Reads one time step after the other, so that memory does not grow with the file. */
static int classify(const char *path, FILE *file, uint32_t recordings, uint32_t steps, FILE *dump)
{
    for (uint32_t r = 0; r < recordings; r++) {
        total totals[CLASSES] = {0};
        operations = 0;
        memset(potentials, 0, sizeof potentials);
        for (uint32_t t = 0; t < steps; t++) {
            if (fread(frame, 1, IMAGE, file) != IMAGE)
                return refuse(path, "cannot be read to its end");
            read_out(totals, step());
            if (dump)
                fwrite(potentials, sizeof(number), NEURONS, dump);
        }
        print_line(totals, steps);
    }
    return 1;
}

/* Reads a file's header, checks it against the network and the file's size, and goes on only if
 * everything fits; 0 where it does not. */
static int read_file(const char *path, FILE *file, FILE *dump)
{
    static const char *const names[] = {"version", 0, 0, "channels", "height", "width"};
    static const uint32_t expected[] = {VERSION, 0, 0, CHANNELS, HEIGHT, WIDTH};
    uint8_t header[HEADER];
    uint32_t found[6];
    long size = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    rewind(file);
    if (size < HEADER || fread(header, 1, HEADER, file) != HEADER || memcmp(header, "SNNF", 4))
        return refuse(path, "no file of frames");
    for (int i = 0; i < 6; i++) {
        const uint8_t *b = header + 4 + 4 * i;
        found[i] = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        if (names[i] && !expect(path, names[i], found[i], expected[i]))
            return 0;
    }
    uint64_t steps = (uint64_t)found[1] * found[2], bytes = (uint64_t)(size - HEADER);
    if (!steps)
        return refuse(path, "no recording or no time step");
    if (!expect(path, "time steps of all recordings", bytes / IMAGE, steps)
        || !expect(path, "bytes after them", bytes % IMAGE, 0))
        return 0;
    return classify(path, file, found[1], found[2], dump);
}

int main(int argc, char **argv)
{
    FILE *dump = NULL;
    int good = 1, first_file = 1;
    if (argc > 2 && !strcmp(argv[1], "-p")) {
        dump = fopen(argv[2], "wb");
        first_file = 3;
        if (!dump)
            return refuse(argv[2], "cannot be written"), 1;
    }
    if (first_file >= argc)
        return refuse("usage", "net [-p potentials] frames ..."), 1;
    for (int i = first_file; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        good &= file ? read_file(argv[i], file, dump) : refuse(argv[i], "cannot be opened");
        if (file)
            fclose(file);
    }
    int failed = dump && ferror(dump);
    if ((dump && fclose(dump)) || failed)
        good = refuse(argv[2], "cannot be written");
    if (fflush(stdout) || ferror(stdout))
        good = refuse("standard output", "cannot be written");
    return !good;
}
