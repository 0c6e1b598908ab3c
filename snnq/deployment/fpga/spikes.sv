// Sends the spikes of a window one by one, the lowest lane first.
module spikes #(
    parameter LANES = 1,
    parameter LANE = LANES > 1 ? $clog2(LANES) : 1
) (
    input wire clk,
    input wire reset,
    input wire load,
    input wire [LANES-1:0] loaded,
    output wire free,  // may be loaded in this clock
    output wire valid,
    input wire ready,
    output reg [LANE-1:0] lane
);
  reg [LANES-1:0] pending;
  wire [LANES-1:0] others = pending & (pending - 1);
  assign valid = pending != 0;
  assign free  = !valid || (ready && others == 0);

  integer i;
  always @* begin
    lane = 0;
    for (i = LANES - 1; i >= 0; i = i - 1) if (pending[i]) lane = LANE'(i);
  end

  always @(posedge clk)
    if (reset) pending <= 0;
    else if (load) pending <= loaded;
    else if (valid && ready) pending <= others;
endmodule
