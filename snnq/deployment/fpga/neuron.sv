// One time step of one neuron, in two clocks: the formula of `snnq/deployment/integer_stage.py`.
//
// X = (2^up S + b) / 2^down, rounded down; h = v - (m v + 2^(q-1)) / 2^q + X, between the ends of
// a membrane; a spike where h reaches the threshold.
module neuron #(
    parameter SUM = 8,       // bits of S,
    parameter MEMBRANE = 8,  // v and the threshold,
    parameter OFFSET = 8,    // b,
    parameter INPUT = 16,    // 2^up S + b, and
    parameter UP = 1,
    parameter DOWN = 1,
    parameter LEAK = 0,      // m
    parameter LEAK_BITS = 0, // q
    parameter SOFT = 0
) (
    input wire clk,
    input wire advance,
    input wire signed [SUM-1:0] sum,
    input wire signed [MEMBRANE-1:0] before,
    input wire [UP-1:0] up,
    input wire [DOWN-1:0] down,
    input wire signed [OFFSET-1:0] offset,
    input wire signed [MEMBRANE-1:0] threshold,
    output reg spike,
    output reg signed [MEMBRANE-1:0] after
);
  localparam PRODUCT = MEMBRANE + 10;  // m is at most 2^9
  localparam WIDE = (INPUT > PRODUCT ? INPUT : PRODUCT) + 2;
  localparam signed [WIDE-1:0] MOST = WIDE'(2 ** (MEMBRANE - 1) - 1);
  localparam signed [WIDE-1:0] LEAST = -MOST - 1;
  localparam signed [PRODUCT-1:0] M = PRODUCT'(LEAK);
  localparam signed [PRODUCT-1:0] HALF = PRODUCT'((2 ** LEAK_BITS) / 2);

  wire signed [INPUT-1:0] raised = (INPUT'(sum) <<< up) + INPUT'(offset);
  wire signed [PRODUCT-1:0] product = PRODUCT'(before) * M + HALF;

  reg signed [INPUT-1:0] x;
  reg signed [PRODUCT-1:0] leak;
  reg signed [MEMBRANE-1:0] v, needed;

  wire signed [WIDE-1:0] exact = WIDE'(v) - WIDE'(leak) + WIDE'(x);
  wire signed [WIDE-1:0] h = exact > MOST ? MOST : exact < LEAST ? LEAST : exact;
  wire fires = h >= WIDE'(needed);
  wire signed [WIDE-1:0] left = SOFT != 0 ? h - WIDE'(needed) : WIDE'(0);

  always @(posedge clk)
    if (advance) begin
      x <= raised >>> down;
      leak <= product >>> LEAK_BITS;
      v <= before;
      needed <= threshold;
      spike <= fires;
      after <= MEMBRANE'(fires ? left : h);
    end
endmodule
