//! The whole router over the ports in memory.
