import CVecDBShims

/// Which checksum instructions the processor has. cpuid is asked once: under a hypervisor each
/// question costs microseconds.
enum ProcessorFeatures {
  private static let all = vecdb_cpu_features()

  /// The SHA-NI compression instructions.
  static let sha = all & UInt32(VECDB_CPU_SHA) != 0
  /// crc32 and carry-less multiplication.
  static let crc32c = all & UInt32(VECDB_CPU_CRC32C) != 0
}
