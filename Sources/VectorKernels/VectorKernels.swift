// VectorKernels
