import CVecDBShims

/// The instruction sets that kernels are written for, slowest first.
package enum InstructionSet: String, Sendable, CaseIterable {
  /// Swift's own vector types at the baseline of the architecture.
  case portable
  /// 256-bit integer and float instructions.
  case avx2
  /// 512-bit instructions with byte inner products (F, BW, DQ, VL, VNNI).
  case avx512

  /// Whether the processor has it and the operating system saves its registers.
  package var isSupported: Bool {
    switch self {
    case .portable: true
    case .avx2: Self.features & UInt32(VECDB_CPU_AVX2) != 0
    case .avx512: Self.features & UInt32(VECDB_CPU_AVX512_VNNI) != 0
    }
  }

  /// cpuid is asked once: under a hypervisor each question costs microseconds.
  private static let features = vecdb_cpu_features()
}
