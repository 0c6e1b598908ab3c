// All words of neurons, one pooled window after the other: its lines, its columns, for each chunk.
module walk #(
    parameter LINES = 1, COLUMNS = 1,  // of windows
    parameter CHUNKS = 1,              // words at a pixel
    parameter DOWN = 1, ACROSS = 1,    // lines and columns of a window
    parameter EACH = 0,                // a word is a window of its own: spikes are added up
    parameter WORDS = LINES * COLUMNS * CHUNKS * DOWN * ACROSS,
    parameter AT = WORDS > 1 ? $clog2(WORDS) : 1,
    parameter AT_LINE = LINES > 1 ? $clog2(LINES) : 1,
    parameter AT_COLUMN = COLUMNS > 1 ? $clog2(COLUMNS) : 1,
    parameter AT_CHUNK = CHUNKS > 1 ? $clog2(CHUNKS) : 1
) (
    input wire clk,
    input wire start,
    input wire advance,
    output reg walking,
    output reg [AT-1:0] at,
    output reg [AT_LINE-1:0] y,
    output reg [AT_COLUMN-1:0] x,
    output reg [AT_CHUNK-1:0] chunk,
    output wire ends  // a window
);
  localparam LINE = COLUMNS * ACROSS * CHUNKS;
  localparam AT_DOWN = DOWN > 1 ? $clog2(DOWN) : 1;
  localparam AT_ACROSS = ACROSS > 1 ? $clog2(ACROSS) : 1;

  reg [AT_DOWN-1:0] down;
  reg [AT_ACROSS-1:0] across;
  wire last_across = across == AT_ACROSS'(ACROSS - 1);
  wire last_down = down == AT_DOWN'(DOWN - 1);
  wire last_chunk = chunk == AT_CHUNK'(CHUNKS - 1);
  wire last_x = x == AT_COLUMN'(COLUMNS - 1);
  wire last_y = y == AT_LINE'(LINES - 1);
  assign ends = EACH != 0 || (last_across && last_down);

  always @(posedge clk)
    if (start) begin
      walking <= 1;
      at <= 0;
      y <= 0;
      x <= 0;
      chunk <= 0;
      down <= 0;
      across <= 0;
    end else if (walking && advance) begin
      across <= last_across ? 0 : across + 1;
      if (!last_across) at <= at + AT'(CHUNKS);
      else begin
        down <= last_down ? 0 : down + 1;
        if (!last_down) at <= at + AT'(LINE - (ACROSS - 1) * CHUNKS);
        else begin
          chunk <= last_chunk ? 0 : chunk + 1;
          if (!last_chunk) at <= at + AT'(1 - (DOWN - 1) * LINE - (ACROSS - 1) * CHUNKS);
          else begin
            x <= last_x ? 0 : x + 1;
            if (!last_x) at <= at + AT'(1 - (DOWN - 1) * LINE);
            else begin
              at <= at + 1;
              y <= last_y ? 0 : y + 1;
              walking <= !last_y;
            end
          end
        end
      end
    end
endmodule
