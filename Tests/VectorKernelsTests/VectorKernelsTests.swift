import Testing
import VectorKernels

@Suite struct KernelSetTests {
  @Test func portableIsAlwaysThere() {
    #expect(KernelSet.available.first?.name == "portable")
    #expect(KernelSet.named("portable") != nil)
    #expect(KernelSet.named("abacus") == nil)
  }
}
