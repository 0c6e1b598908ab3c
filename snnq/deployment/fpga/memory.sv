// A memory of ROWS words that are read one clock later; with one port nothing is read while a word is
// written.
//
// Nobody reads the word that is being written (no_rw_check): block RAM of any maker will do.
module memory #(
    parameter BITS = 8,
    parameter ROWS = 16,
    parameter ONE_PORT = 0,
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
  generate
    if (ONE_PORT != 0) begin : one
      (* ram_style = "huge" *)
      reg [BITS-1:0] words[0:ROWS-1];
      wire [AT-1:0] at = write ? write_at : read_at;
      always @(posedge clk)
        if (write) words[at] <= written;
        else if (read) word <= words[at];
    end else begin : two
      (* no_rw_check *)
      reg [BITS-1:0] words[0:ROWS-1];
      always @(posedge clk) begin
        if (write) words[write_at] <= written;
        if (read) word <= words[read_at];
      end
    end
  endgenerate
endmodule
