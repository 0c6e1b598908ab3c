// Counts the spikes of each class's voters; after a recording the first of the greatest is the class.
// A count stays at its greatest number once there.
module votes #(
    parameter NAME = "",
    parameter CHANNELS = 1,
    parameter CLASSES = 1,
    parameter COUNT = 16,
    parameter AT_CHANNEL = CHANNELS > 1 ? $clog2(CHANNELS) : 1,
    parameter CLASS = CLASSES > 1 ? $clog2(CLASSES) : 1,
    parameter TOKEN = 4 + AT_CHANNEL
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [TOKEN-1:0] in_token,  // kind, line, column, channel
    output wire out_valid,
    input wire out_ready,
    output reg [CLASS-1:0] winner
);
  localparam [1:0] COUNTING = 0, COMPARING = 1, DONE = 2;
  reg [1:0] state;
  reg mute;  // after a reset counts are emptied, and no class is sent
  reg voting, ended;
  wire [CLASS-1:0] voted;
  reg [CLASS-1:0] compared;
  reg [COUNT-1:0] counts[0:CLASSES-1];
  reg [COUNT-1:0] best;

  assign in_ready  = state == COUNTING && !ended;
  assign out_valid = state == DONE;
  wire take = in_valid && in_ready;
  wire [1:0] kind;
  wire of_line, of_column;  // of the only pixel that is left
  wire [AT_CHANNEL-1:0] channel;
  assign {kind, of_line, of_column, channel} = in_token;
  wire unused = &{1'b0, of_line, of_column};

  rom #(.BITS(CLASS), .ROWS(CHANNELS), .CONTENT({NAME, "_classes.mem"})) classes (
      .clk, .read(take), .at(channel), .word(voted));

  wire [CLASS-1:0] at = state == COMPARING ? compared : voted;
  wire [COUNT-1:0] count = counts[at];
  wire last = compared == CLASS'(CLASSES - 1);

  always @(posedge clk) begin
    voting <= take && kind == 0;
    ended <= take && kind == 2;
    if (state == COMPARING) counts[at] <= 0;
    else if (voting && count != {COUNT{1'b1}}) counts[at] <= count + 1;
    case (state)
      COUNTING: begin
        compared <= 0;
        best <= 0;
        winner <= 0;
        if (ended) state <= COMPARING;
      end
      COMPARING: begin
        compared <= compared + 1;
        if (count > best && !mute) begin
          best <= count;
          winner <= compared;
        end
        if (last) begin
          state <= mute ? COUNTING : DONE;
          mute <= 0;
        end
      end
      default: if (out_ready) state <= COUNTING;
    endcase
    if (reset) begin
      state <= COMPARING;
      mute <= 1;
      compared <= 0;
      {voting, ended} <= 0;
    end
  end
endmodule
