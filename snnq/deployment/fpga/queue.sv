// A first-in, first-out queue of DEPTH tokens, a power of two.
module queue #(
    parameter BITS = 8,
    parameter DEPTH = 16
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [BITS-1:0] in_token,
    output wire out_valid,
    input wire out_ready,
    output wire [BITS-1:0] out_token
);
  localparam AT = $clog2(DEPTH);
  reg [BITS-1:0] tokens[0:DEPTH-1];
  reg [AT:0] written, taken;  // one bit more than a place: full and empty differ in it
  wire [AT:0] held = written - taken;

  assign in_ready = held != (AT + 1)'(DEPTH);
  assign out_valid = held != 0;
  assign out_token = tokens[taken[AT-1:0]];

  always @(posedge clk) begin
    if (in_valid && in_ready) tokens[written[AT-1:0]] <= in_token;
    if (reset) begin
      written <= 0;
      taken   <= 0;
    end else begin
      if (in_valid && in_ready) written <= written + 1;
      if (out_valid && out_ready) taken <= taken + 1;
    end
  end
endmodule
