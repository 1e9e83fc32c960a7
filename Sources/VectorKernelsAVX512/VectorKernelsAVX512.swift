// VectorKernelsAVX512
