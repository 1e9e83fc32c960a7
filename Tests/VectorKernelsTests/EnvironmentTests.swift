#if os(Linux) || os(macOS)
  #if canImport(Glibc)
    import Glibc
  #elseif canImport(Musl)
    import Musl
  #elseif canImport(Darwin)
    import Darwin
  #endif
  import Testing
  import VecDBKernels

  /// The choice is made once a process, so each case has a process of its own.
  @Suite struct EnvironmentTests {
    @Test func theVariableForcesASet() async {
      await #expect(processExitsWith: .success) {
        setenv("VECDB_KERNELS", "portable", 1)
        #expect(KernelSet.current.name == "portable")
        #expect(KernelSet.selectionError == nil)
      }
    }

    @Test func withoutItTheFastestIsUsed() async {
      await #expect(processExitsWith: .success) {
        unsetenv("VECDB_KERNELS")
        #expect(KernelSet.current.name == KernelSet.fastest.name)
        #expect(KernelSet.selectionError == nil)
      }
    }

    @Test func nonsenseFallsBackAndIsReported() async {
      await #expect(processExitsWith: .success) {
        setenv("VECDB_KERNELS", "abacus", 1)
        let fastest = KernelSet.fastest.name
        #expect(KernelSet.current.name == fastest)
        #expect(KernelSet.selectionError == .unknownName("abacus", fallback: fastest))
      }
    }
  }
#endif
