// A layer with its neurons: events in, events out, and the ends of time steps (kind 1) and of
// recordings (kind 2) in between.
//
// An event adds a row of weights to the sums that it reaches, LANES at a time. The end of a time step
// takes all neurons one step on, and sends their spikes, then itself. Neurons that no pooled window
// holds are left out: nothing depends on them.
module layer #(
    parameter NAME = "",
    parameter CHANNELS = 1, LINES = 1, COLUMNS = 1,   // of the input
    parameter GROUPS = 1, CHUNKS = 1, LANES = 1,      // of neurons: CHUNKS words for each group
    parameter OUT_LINES = 1, OUT_COLUMNS = 1,         // of windows
    parameter POOL_DOWN = 1, POOL_ACROSS = 1, POOL_ADDS = 0,
    parameter ROWS = 1,                               // words of weights
    parameter COUNT = 1,                              // bits of numbers of lines or columns
    parameter DOWN = 1, ACROSS = 1,                   // words of weights between neighbours
    parameter CODE = 1, BASE = 0, STEP = 1,           // weight = BASE + STEP code, of CODE bits
    parameter SUM = 8, MEMBRANE = 8, OFFSET = 8, INPUT = 16, UP = 1, DOWNWARDS = 1,  // as in
    parameter LEAK = 0, LEAK_BITS = 0, SOFT = 0,      // neuron.sv, where DOWNWARDS is DOWN
    parameter QUEUE = 16,                             // events that may wait
    parameter ONE_PORT = 0,                           // memories read or write, not both in a clock
    parameter AT_CHANNEL = CHANNELS > 1 ? $clog2(CHANNELS) : 1,
    parameter AT_LINE = LINES > 1 ? $clog2(LINES) : 1,
    parameter AT_COLUMN = COLUMNS > 1 ? $clog2(COLUMNS) : 1,
    parameter AT_OUT_LINE = OUT_LINES > 1 ? $clog2(OUT_LINES) : 1,
    parameter AT_OUT_COLUMN = OUT_COLUMNS > 1 ? $clog2(OUT_COLUMNS) : 1,
    parameter AT_CHUNK = GROUPS * CHUNKS > 1 ? $clog2(GROUPS * CHUNKS) : 1,
    parameter AT_LANE = LANES > 1 ? $clog2(LANES) : 1,
    parameter TOKEN = 2 + AT_LINE + AT_COLUMN + AT_CHANNEL,
    parameter OUT_TOKEN = 2 + AT_OUT_LINE + AT_OUT_COLUMN + AT_CHUNK + AT_LANE
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [TOKEN-1:0] in_token,  // kind, line, column, channel
    output wire out_valid,
    input wire out_ready,
    output wire [OUT_TOKEN-1:0] out_token
);
  localparam PIXEL = GROUPS * CHUNKS;
  localparam LINE = OUT_COLUMNS * POOL_ACROSS * PIXEL;
  localparam WORDS = OUT_LINES * POOL_DOWN * LINE;
  localparam AT = WORDS > 1 ? $clog2(WORDS) : 1;
  localparam AT_ROW = ROWS > 1 ? $clog2(ROWS) : 1;
  localparam SETTING = UP + DOWNWARDS + OFFSET + MEMBRANE;
  localparam [1:0] ADD = 0, FIRE = 1, END = 2;

  reg [1:0] state;
  reg first, last, mute;  // step of a recording; and the one after a reset, which empties the sums

  wire waits, next;
  wire [1:0] next_kind;
  wire [AT_LINE-1:0] next_y;
  wire [AT_COLUMN-1:0] next_x;
  wire [AT_CHANNEL-1:0] next_channel;
  queue #(.BITS(TOKEN), .DEPTH(QUEUE)) waiting (
      .clk, .reset, .in_valid, .in_ready, .in_token, .out_valid(waits), .out_ready(next),
      .out_token({next_kind, next_y, next_x, next_channel}));

  // ---- Add: find addresses, read weights, read sums, add, write.
  wire found;
  wire [1:0] kind;
  wire [AT_ROW-1:0] row;
  wire [AT-1:0] sum_at;
  reg weighed_valid, read_valid, added_valid;
  reg [AT-1:0] weighed_at, read_at, added_at;
  reg [LANES*SUM-1:0] added;
  wire [LANES*CODE-1:0] codes;
  wire [LANES*SUM-1:0] sums;

  // The sum that is wanted may still be on its way to the memory.
  wire in_flight = (weighed_valid && weighed_at == sum_at) || (read_valid && read_at == sum_at)
      || (added_valid && added_at == sum_at);
  wire busy = ONE_PORT != 0 && read_valid;  // will be writing when this one's sum would be read
  wire add = state == ADD && found && kind == 0 && !in_flight && !busy;
  wire adding = weighed_valid || read_valid || added_valid;
  wire begin_firing = state == ADD && found && kind != 0 && !adding;

  reach #(
      .NAME(NAME), .CHANNELS(CHANNELS), .LINES(LINES), .COLUMNS(COLUMNS), .WEIGHT(AT_ROW), .SUM(AT),
      .COUNT(COUNT), .CHUNKS(CHUNKS), .PIXEL(PIXEL), .LINE(LINE), .ACROSS(ACROSS), .DOWN(DOWN)
  ) reached (
      .clk, .reset, .in_valid(waits), .in_ready(next), .in_kind(next_kind), .in_y(next_y),
      .in_x(next_x), .in_channel(next_channel), .out_valid(found),
      .out_ready(add || begin_firing), .kind, .weight(row), .sum(sum_at));

  rom #(.BITS(LANES * CODE), .ROWS(ROWS), .CONTENT({NAME, "_weights.mem"})) weights (
      .clk, .read(add), .at(row), .word(codes));

  // ---- Fire: walk, read, four clocks of the neurons, write.
  reg [4:0] firing;  // a word is read, or in one of the four clocks of its neurons
  wire may_read = ONE_PORT == 0 || firing == 0;
  wire advance, walking, ends;
  wire [AT-1:0] walk_at;
  wire [AT_OUT_LINE-1:0] walk_y;
  wire [AT_OUT_COLUMN-1:0] walk_x;
  wire [AT_CHUNK-1:0] walk_chunk;
  wire [LANES*MEMBRANE-1:0] potentials, after;
  wire [LANES*SETTING-1:0] settings;
  wire [LANES-1:0] fired;

  walk #(
      .LINES(OUT_LINES), .COLUMNS(OUT_COLUMNS), .CHUNKS(PIXEL), .DOWN(POOL_DOWN),
      .ACROSS(POOL_ACROSS), .EACH(POOL_ADDS)
  ) walked (
      .clk, .start(begin_firing || reset), .advance(advance && may_read), .walking, .at(walk_at),
      .y(walk_y), .x(walk_x), .chunk(walk_chunk), .ends);

  localparam PLACE = AT + AT_OUT_LINE + AT_OUT_COLUMN + AT_CHUNK + 1;
  reg [5*PLACE-1:0] places;
  wire [AT-1:0] cleared_at = places[PLACE-1-:AT];
  wire [AT-1:0] fired_at;
  wire [AT_OUT_LINE-1:0] fired_y;
  wire [AT_OUT_COLUMN-1:0] fired_x;
  wire [AT_CHUNK-1:0] fired_chunk;
  wire fired_ends;
  assign {fired_at, fired_y, fired_x, fired_chunk, fired_ends} = places[5*PLACE-1-:PLACE];

  rom #(.BITS(LANES * SETTING), .ROWS(PIXEL), .CONTENT({NAME, "_neurons.mem"})) settings_of (
      .clk, .read(advance), .at(walk_chunk), .word(settings));

  memory #(.BITS(LANES * MEMBRANE), .ROWS(WORDS), .ONE_PORT(ONE_PORT)) membranes (
      .clk, .read(advance), .read_at(walk_at), .word(potentials),
      .write(firing[4] && advance), .write_at(fired_at), .written(after));

  memory #(.BITS(LANES * SUM), .ROWS(WORDS), .ONE_PORT(ONE_PORT)) all_sums (
      .clk, .read(weighed_valid || advance), .read_at(weighed_valid ? weighed_at : walk_at),
      .word(sums),
      .write(added_valid || firing[0]), .write_at(added_valid ? added_at : cleared_at),
      .written(added_valid ? added : {LANES * SUM{1'b0}}));

  genvar i;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : lane
      wire [CODE-1:0] code = codes[i*CODE+:CODE];
      // Of one bit it is a choice, which takes no adder.
      reg [SUM-1:0] weight;
      always @(posedge clk) weight <= CODE == 1 ? (code[0] ? SUM'(BASE + STEP) : SUM'(BASE))
          : SUM'(BASE) + SUM'(STEP) * SUM'(code);
      always @(posedge clk) added[i*SUM+:SUM] <= sums[i*SUM+:SUM] + weight;

      wire [SETTING-1:0] setting = settings[i*SETTING+:SETTING];
      wire [MEMBRANE-1:0] v = potentials[i*MEMBRANE+:MEMBRANE];
      neuron #(
          .SUM(SUM), .MEMBRANE(MEMBRANE), .OFFSET(OFFSET), .INPUT(INPUT), .UP(UP), .DOWN(DOWNWARDS),
          .LEAK(LEAK), .LEAK_BITS(LEAK_BITS), .SOFT(SOFT)
      ) cell_of (
          .clk, .advance, .sum(sums[i*SUM+:SUM]), .v(first ? {MEMBRANE{1'b0}} : v),
          .up(setting[OFFSET+MEMBRANE+DOWNWARDS+:UP]), .down(setting[OFFSET+MEMBRANE+:DOWNWARDS]),
          .offset(setting[MEMBRANE+:OFFSET]), .threshold(setting[MEMBRANE-1:0]),
          .spike(fired[i]), .after(after[i*MEMBRANE+:MEMBRANE]));
    end
  endgenerate

  // ---- Send: the spikes of a window, while the next ones are computed.
  reg [LANES-1:0] window;
  wire [LANES-1:0] pooled = window | fired;
  wire full = firing[4] && fired_ends && pooled != 0 && !mute;
  wire free, sends;
  wire [AT_LANE-1:0] lane_sent;
  reg [AT_OUT_LINE-1:0] out_y;
  reg [AT_OUT_COLUMN-1:0] out_x;
  reg [AT_CHUNK-1:0] out_chunk;
  assign advance = !full || free;

  spikes #(.LANES(LANES)) sent (
      .clk, .reset, .load(full && free), .loaded(pooled), .free, .valid(sends),
      .ready(out_ready), .lane(lane_sent));

  assign out_valid = state == END || sends;
  assign out_token = {state != END ? 2'd0 : last ? 2'd2 : 2'd1, out_y, out_x, out_chunk, lane_sent};
  wire fired_all = !walking && firing == 0 && !sends;

  always @(posedge clk) begin
    weighed_valid <= add;
    weighed_at <= sum_at;
    read_valid <= weighed_valid;
    read_at <= weighed_at;
    added_valid <= read_valid;
    added_at <= read_at;
    if (advance) begin
      firing <= {firing[3:0], walking && may_read};
      places <= {places[4*PLACE-1:0], walk_at, walk_y, walk_x, walk_chunk, ends};
      if (firing[4]) window <= fired_ends ? 0 : pooled;
    end
    if (full && free) begin
      out_y <= fired_y;
      out_x <= fired_x;
      out_chunk <= fired_chunk;
    end
    case (state)
      ADD: if (begin_firing) begin
        state <= FIRE;
        last <= kind == 2;
      end
      FIRE: if (fired_all) begin
        state <= mute ? ADD : END;
        mute <= 0;
      end
      default: if (out_ready) begin
        state <= ADD;
        first <= last;
      end
    endcase
    if (reset) begin
      state <= FIRE;
      {first, mute, last} <= 3'b111;
      {weighed_valid, read_valid, added_valid, firing} <= 0;
      window <= 0;
    end
  end

`ifndef SYNTHESIS
  reg traced;
  initial traced = $test$plusargs("trace") != 0;
  always @(posedge clk)
    if (traced && firing[4] && advance && !mute) $display("%s %0d %h %h", NAME, fired_at, after, fired);
`endif
endmodule
