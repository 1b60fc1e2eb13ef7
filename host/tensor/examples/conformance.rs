//! Writes the table of conformance vectors, as the reference interpreter computes it, to standard output:
//! `cargo run --release -p anneal-tensor --example conformance > host/tensor/src/conformance/vectors.txt`.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let table = anneal_tensor::conformance::table(&mut anneal_tensor::Reference::new())?;
    std::io::stdout().write_all(table.as_bytes())?;
    Ok(())
}
