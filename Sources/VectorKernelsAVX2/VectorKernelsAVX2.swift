// VectorKernelsAVX2
