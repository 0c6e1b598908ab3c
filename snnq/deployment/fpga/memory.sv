// A memory of ROWS words with a port to read, one clock later, and a port to write.
//
// Nobody reads the word that is being written (no_rw_check): block RAM of any maker will do.
module memory #(
    parameter BITS = 8,
    parameter ROWS = 16,
    parameter AT = ROWS > 1 ? $clog2(ROWS) : 1
) (
    input wire clk,
    input wire read,
    input wire [AT-1:0] read_at,
    output reg [BITS-1:0] word,
    input wire write,
    input wire [AT-1:0] write_at,
    input wire [BITS-1:0] written
);
  (* no_rw_check *)
  reg [BITS-1:0] words[0:ROWS-1];

  always @(posedge clk) begin
    if (write) words[write_at] <= written;
    if (read) word <= words[read_at];
  end
endmodule
