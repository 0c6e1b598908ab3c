// Which weights an event adds to which sums: a pair of addresses a clock.
//
// A channel, a line and a column each have a word in a small table: how many lines (columns) of
// neurons they reach, less one, and where the first of them has its weights and its sums. So there
// is no division by strides and no multiplication. From there on the next neuron across or down
// uses weights that lie ACROSS or DOWN before, and every neuron's channels are CHUNKS words.
// The ends of time steps pass in the order in which they come.
module reach #(
    parameter NAME = "",
    parameter CHANNELS = 1, LINES = 1, COLUMNS = 1,
    parameter WEIGHT = 1, SUM = 1,  // bits of addresses,
    parameter COUNT = 1,            // and of numbers of lines or columns
    parameter CHUNKS = 1,           // words of a group's neurons at a pixel
    parameter PIXEL = 1,            // words of all groups' neurons at a pixel
    parameter LINE = 1,             // words of a line
    parameter ACROSS = 1, DOWN = 1,
    parameter AT_CHANNEL = CHANNELS > 1 ? $clog2(CHANNELS) : 1,
    parameter AT_LINE = LINES > 1 ? $clog2(LINES) : 1,
    parameter AT_COLUMN = COLUMNS > 1 ? $clog2(COLUMNS) : 1
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [1:0] in_kind,
    input wire [AT_LINE-1:0] in_y,
    input wire [AT_COLUMN-1:0] in_x,
    input wire [AT_CHANNEL-1:0] in_channel,
    output reg out_valid,
    input wire out_ready,
    output reg [1:0] kind,
    output reg [WEIGHT-1:0] weight,
    output reg [SUM-1:0] sum
);
  localparam PLACE = WEIGHT + SUM;
  localparam ENTRY = 1 + COUNT + PLACE;
  localparam CHUNK = CHUNKS > 1 ? $clog2(CHUNKS) : 1;

  reg found;
  reg [1:0] found_kind;
  wire take;  // what was found
  wire [PLACE-1:0] of_channel;
  wire [ENTRY-1:0] of_line, of_column;
  assign in_ready = !found || take;
  wire look = in_valid && in_ready;

  rom #(.BITS(PLACE), .ROWS(CHANNELS), .CONTENT({NAME, "_channels.mem"})) channels (
      .clk, .read(look), .at(in_channel), .word(of_channel));
  rom #(.BITS(ENTRY), .ROWS(LINES), .CONTENT({NAME, "_lines.mem"})) lines (
      .clk, .read(look), .at(in_y), .word(of_line));
  rom #(.BITS(ENTRY), .ROWS(COLUMNS), .CONTENT({NAME, "_columns.mem"})) columns (
      .clk, .read(look), .at(in_x), .word(of_column));

  wire [WEIGHT-1:0] first_weight =
      of_channel[PLACE-1:SUM] + of_line[PLACE-1:SUM] + of_column[PLACE-1:SUM];
  wire [SUM-1:0] first_sum = of_channel[SUM-1:0] + of_line[SUM-1:0] + of_column[SUM-1:0];
  wire reaches = found_kind != 0 || (of_line[ENTRY-1] && of_column[ENTRY-1]);

  reg [COUNT-1:0] down, across, width;  // still to come; and across in each line
  reg [CHUNK-1:0] chunk;
  reg [WEIGHT-1:0] line_weight;
  reg [SUM-1:0] line_sum;
  wire last_chunk = chunk == CHUNK'(CHUNKS - 1);
  wire last = kind != 0 || (last_chunk && across == 0 && down == 0);
  wire next = out_valid && out_ready;
  assign take = !out_valid || (next && last);

  always @(posedge clk) begin
    if (in_ready) begin
      found <= in_valid;
      found_kind <= in_kind;
    end
    if (take) begin
      out_valid <= found && reaches;
      kind <= found_kind;
      weight <= first_weight;
      line_weight <= first_weight;
      sum <= first_sum;
      line_sum <= first_sum;
      down <= of_line[PLACE+:COUNT];
      across <= of_column[PLACE+:COUNT];
      width <= of_column[PLACE+:COUNT];
      chunk <= 0;
    end else if (next) begin
      chunk <= last_chunk ? 0 : chunk + 1;
      if (!last_chunk) begin
        weight <= weight + 1;
        sum <= sum + 1;
      end else if (across != 0) begin
        across <= across - 1;
        weight <= weight - WEIGHT'(ACROSS + CHUNKS - 1);
        sum <= sum + SUM'(PIXEL - CHUNKS + 1);
      end else begin
        across <= width;
        down <= down - 1;
        weight <= line_weight - WEIGHT'(DOWN);
        line_weight <= line_weight - WEIGHT'(DOWN);
        sum <= line_sum + SUM'(LINE);
        line_sum <= line_sum + SUM'(LINE);
      end
    end
    if (reset) begin
      found <= 0;
      out_valid <= 0;
    end
  end
endmodule
