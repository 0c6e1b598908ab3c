// One time step of one neuron, in four clocks: the formula of snnq/deployment/integer_stage.py.
//
// X = (2^up S + b) / 2^down, rounded down; h = v - (m v + 2^(q-1)) / 2^q + X, held between the ends
// of a membrane; a spike where h reaches the threshold. One of up and down is 0. The first clock only takes
// over what block RAM gives, which is late.
module neuron #(
    parameter SUM = 8,        // bits of S,
    parameter MEMBRANE = 8,   // of v, and of a threshold that may be too high to be reached,
    parameter OFFSET = 8,     // of b,
    parameter INPUT = 16,     // of 2^up S + b,
    parameter UP = 1,
    parameter DOWN = 1,
    parameter LEAK = 0,       // m
    parameter LEAK_BITS = 0,  // q
    parameter SOFT = 0
) (
    input wire clk,
    input wire advance,
    input wire signed [SUM-1:0] sum,
    input wire signed [MEMBRANE-1:0] v,
    input wire [UP-1:0] up,
    input wire [DOWN-1:0] down,
    input wire signed [OFFSET-1:0] offset,
    input wire [MEMBRANE-1:0] threshold,
    output reg spike,
    output reg signed [MEMBRANE-1:0] after
);
  localparam PRODUCT = MEMBRANE + $clog2(LEAK + 2) + LEAK_BITS + 1;
  localparam WIDE = (INPUT > PRODUCT ? INPUT : PRODUCT) + 2;
  localparam signed [PRODUCT-1:0] M = PRODUCT'(LEAK);
  localparam signed [PRODUCT-1:0] HALF = PRODUCT'((2 ** LEAK_BITS) / 2);
  localparam signed [MEMBRANE-1:0] LEAST = {1'b1, {(MEMBRANE - 1) {1'b0}}};

  reg signed [SUM-1:0] s;
  reg signed [MEMBRANE-1:0] potential;
  reg [UP-1:0] raise;
  reg [DOWN-1:0] lower;
  reg signed [OFFSET-1:0] b;
  reg [MEMBRANE-1:0] asked;

  wire signed [INPUT-1:0] raised = (INPUT'(s) <<< raise) + INPUT'(b);
  wire signed [PRODUCT-1:0] product = PRODUCT'(potential) * M + HALF;

  reg signed [INPUT-1:0] x;
  reg signed [PRODUCT-1:0] leak;
  reg signed [MEMBRANE-1:0] held, h;
  reg [MEMBRANE-1:0] wanted, needed;

  wire signed [WIDE-1:0] exact = WIDE'(held) - WIDE'(leak) + WIDE'(x);
  wire negative = exact[WIDE-1];
  wire fits = exact[WIDE-1:MEMBRANE-1] == {(WIDE - MEMBRANE + 1) {negative}};
  // From h - threshold both are seen, the spike and what a soft reset leaves.
  wire signed [MEMBRANE:0] above = (MEMBRANE + 1)'(h) - $signed({1'b0, needed});

  always @(posedge clk)
    if (advance) begin
      s <= sum;
      potential <= v;
      raise <= up;
      lower <= down;
      b <= offset;
      asked <= threshold;

      x <= raised >>> lower;
      leak <= product >>> LEAK_BITS;
      held <= potential;
      wanted <= asked;

      h <= fits ? exact[MEMBRANE-1:0] : negative ? LEAST : ~LEAST;
      needed <= wanted;

      spike <= !above[MEMBRANE];
      after <= above[MEMBRANE] ? h : SOFT != 0 ? above[MEMBRANE-1:0] : 0;
    end
endmodule
