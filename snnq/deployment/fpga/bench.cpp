// Sends the recordings of a file of frames to the network, event by event; a count of k is k events.
//
//     ./bench [+gaps=SEED] [+trace] frames
//
// prints a line for each recording: its class, the events, the clocks from the first of them to the
// class, and the clocks from the end of the last time step to the class. With gaps inputs and outputs
// wait for a random number of clocks, and a recording does not wait for the class of the one before.
// With trace each layer's name, word, potentials and spikes come first, in hexadecimal.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "Vnet.h"
#include "shape.h"
#include "verilated.h"

struct Token { int kind, channel, y, x; };

static int refuse(const std::string &path, const char *why)
{
    fprintf(stderr, "%s: %s\n", path.c_str(), why);
    return 1;
}

// One recording's tokens; false where the file ends before them, or a count is too great.
static bool read_tokens(FILE *file, uint32_t steps, std::vector<Token> &tokens)
{
    std::vector<uint8_t> frame(CHANNELS * HEIGHT * WIDTH);
    tokens.clear();
    for (uint32_t step = 0; step < steps; step++) {
        if (fread(frame.data(), 1, frame.size(), file) != frame.size())
            return false;
        for (int i = 0; i < (int)frame.size(); i++) {
            if (frame[i] > MOST)
                return false;
            for (int k = 0; k < frame[i]; k++)
                tokens.push_back({0, i / (HEIGHT * WIDTH), i / WIDTH % HEIGHT, i % WIDTH});
        }
        tokens.push_back({step + 1 == steps ? 2 : 1, 0, 0, 0});
    }
    return true;
}

int main(int argc, char **argv)
{
    VerilatedContext context;
    context.commandArgs(argc, argv);
    std::string gaps = context.commandArgsPlusMatch("gaps="), path = argv[argc - 1];
    std::mt19937 random(gaps.empty() ? 0 : atoi(gaps.substr(6).c_str()));
    auto waits = [&] { return !gaps.empty() && random() % 3 == 0; };

    FILE *file = fopen(path.c_str(), "rb");
    char magic[4];
    uint32_t head[6];  // as this machine has them: little-endian
    if (!file || fread(magic, 1, 4, file) != 4 || memcmp(magic, "SNNF", 4)
        || fread(head, 4, 6, file) != 6)
        return refuse(path, "no file of frames");
    const uint32_t expected[6] = {1, head[1], head[2], CHANNELS, HEIGHT, WIDTH};
    if (memcmp(head, expected, sizeof head))
        return refuse(path, "frames of another version or size than the network's");
    const long start = ftell(file), each = (long)head[2] * CHANNELS * HEIGHT * WIDTH;
    fseek(file, 0, SEEK_END);
    if (!each || !head[1] || ftell(file) - start != (long)head[1] * each)
        return refuse(path, "expected recordings of at least a time step, and nothing after them");
    fseek(file, start, SEEK_SET);

    Vnet net{&context};
    long now = 0;
    auto clock = [&] {
        net.clk = 1, net.eval();
        net.clk = 0, net.eval();
        now++;
    };
    net.clk = net.in_valid = net.out_ready = 0;
    net.reset = 1;
    clock(), clock();
    net.reset = 0;

    std::vector<Token> tokens;
    std::vector<long> began(head[1]), ended(head[1]), events(head[1]);
    uint32_t sent = 0, received = 0;
    size_t next = 0;
    const long patience = 100000000;  // clocks without a class
    for (long last = 0; received < head[1] && now - last < patience;) {
        bool more = sent < head[1] && (sent == received || !gaps.empty());
        if (more && next == 0 && tokens.empty()) {
            if (!read_tokens(file, head[2], tokens))
                return refuse(path, "cannot be read to its end, or has counts that the network was not made for");
            began[sent] = now, events[sent] = (long)tokens.size() - head[2];
        }
        net.in_valid = more && !waits();
        if (more) {
            const Token &token = tokens[next];
            net.in_kind = token.kind, net.in_channel = token.channel;
            net.in_y = token.y, net.in_x = token.x;
        }
        net.out_ready = !waits();
        net.eval();
        bool taken = net.in_valid && net.in_ready, given = net.out_valid && net.out_ready;
        int found = net.out_class;
        clock();
        if (taken && ++next == tokens.size()) {
            ended[sent++] = now;
            next = 0, tokens.clear();
        }
        if (given) {
            printf("%d %ld %ld %ld\n", found, events[received], now - began[received],
                   now - ended[received]);
            received++, last = now;
        }
    }
    fclose(file);
    net.final();
    return received < head[1] ? refuse(path, "no class comes") : 0;
}
