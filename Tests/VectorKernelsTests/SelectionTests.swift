import Testing
import VecDBKernels

@Suite struct SelectionTests {
  @Test func portableIsAlwaysThere() {
    #expect(KernelSet.available.first?.name == "portable")
    #expect(KernelSet.available.last?.name == KernelSet.fastest.name)
    #expect(KernelSet.named("portable")?.instructionSet == .portable)
    #expect(KernelSet.named("abacus") == nil)
  }

  @Test func theEnvironmentNamesASet() throws {
    #expect(try KernelSet.select(nil).name == KernelSet.fastest.name)
    #expect(try KernelSet.select("").name == KernelSet.fastest.name)
    for set in KernelSet.available { #expect(try KernelSet.select(set.name).name == set.name) }
  }

  @Test func anUnknownNameIsExplained() {
    let fallback = KernelSet.fastest.name
    #expect(throws: KernelSelectionError.unknownName("AVX512", fallback: fallback)) {
      try KernelSet.select("AVX512")
    }
    let text = KernelSelectionError.unknownName("sse9", fallback: "avx2").description
    #expect(text.contains("VECDB_KERNELS=sse9"))
    #expect(text.contains("using avx2"))
    #expect(text.contains("portable, avx2, avx512"))
  }

  @Test func anUnsupportedSetIsExplained() {
    for set in InstructionSet.allCases where !set.isSupported {
      #expect(
        throws: KernelSelectionError.unsupported(set, fallback: KernelSet.fastest.name)
      ) {
        try KernelSet.select(set.rawValue)
      }
      #expect(KernelSet.for(set) == nil)
    }
    let text = KernelSelectionError.unsupported(.avx512, fallback: "portable").description
    #expect(text.contains("VECDB_KERNELS=avx512"))
    #expect(text.contains("using portable"))
  }
}
