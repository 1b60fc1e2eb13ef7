//! The limits of the contract: constants, the same on every machine, never an adapter's.

/// Axes of a tensor.
pub const RANK_MAX: usize = 8;
/// Bytes of one tensor.
pub const TENSOR_BYTES_MAX: usize = 128 << 20;
/// Terms of one sum of products in a matmul or convolution: keeps every partial sum finite.
pub const CONTRACTION_TERMS_MAX: usize = 1 << 22;
/// Bytes of the padded or spread image that a convolution or its gradient makes on the way: eight tensors, which
/// leaves room for the gradient of a stride of 2 and its padding.
pub const CONVOLUTION_WORKSPACE_BYTES_MAX: usize = 8 * TENSOR_BYTES_MAX;
/// Tensors of one concat.
pub const CONCAT_INPUTS_MAX: usize = 64;
/// Bytes of one read into the guest.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// Operations recorded between two commits.
pub const STEP_NODES_MAX: usize = 1 << 16;
/// Structures of evaluations that a task may use in turn and pays for once.
pub const STRUCTURES_MAX: usize = 64;
/// Recorded tensors that are alive at once, over all commits: those behind handles, and the history that they
/// need.
pub const LIVE_TENSORS_MAX: u64 = 1 << 20;
/// What a recorded tensor counts beside its elements: more than any host keeps of one, so that a history without
/// elements is bounded by the task's bytes, too.
pub const RECORD_BYTES: u64 = 512;
/// What each input of a recorded tensor counts.
pub const RECORD_INPUT_BYTES: u64 = 16;
/// What a handle to a tensor counts.
pub const HANDLE_BYTES: u64 = 256;
