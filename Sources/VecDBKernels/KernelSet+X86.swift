#if arch(x86_64)
  import VecDBKernelsAVX2
  import VecDBKernelsAVX512

  extension KernelSet {
    /// Only for `for(_:)`, which asks first whether the processor has the instructions.
    static var avx2: KernelSet {
      KernelSet(
        instructionSet: .avx2,
        dotCodes: avx2DotCodes, dotCodesRange: avx2DotCodesRange,
        squaredL2: avx2SquaredL2, innerProduct: avx2InnerProduct,
        squaredL2Rows: avx2SquaredL2Rows, innerProductRows: avx2InnerProductRows,
        decodeCodes: avx2DecodeCodes, differingBits: avx2DifferingBits,
        differingBitsRange: avx2DifferingBitsRange, selectIDs: avx2SelectIDs)
    }

    /// Only for `for(_:)`, as above.
    static var avx512: KernelSet {
      KernelSet(
        instructionSet: .avx512,
        dotCodes: avx512DotCodes, dotCodesRange: avx512DotCodesRange,
        squaredL2: avx512SquaredL2, innerProduct: avx512InnerProduct,
        squaredL2Rows: avx512SquaredL2Rows, innerProductRows: avx512InnerProductRows,
        decodeCodes: avx512DecodeCodes, differingBits: avx2DifferingBits,
        differingBitsRange: avx2DifferingBitsRange, selectIDs: avx512SelectIDs)
    }
  }
#endif
