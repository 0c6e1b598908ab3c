// ROWS words that are only read, one clock later: CONTENT is a file of hexadecimal words.
module rom #(
    parameter BITS = 8,
    parameter ROWS = 16,
    parameter CONTENT = "",
    parameter AT = ROWS > 1 ? $clog2(ROWS) : 1
) (
    input wire clk,
    input wire read,
    input wire [AT-1:0] at,
    output reg [BITS-1:0] word
);
  reg [BITS-1:0] words[0:ROWS-1];
  initial $readmemh(CONTENT, words);

  always @(posedge clk) if (read) word <= words[at];
endmodule
