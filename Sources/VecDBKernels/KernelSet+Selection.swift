#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension KernelSet {
  /// The environment variable that names the kernel set to use.
  package static let environmentVariable = "VECDB_KERNELS"

  /// The set that `VECDB_KERNELS` names, or else the fastest that this processor supports. Chosen
  /// once. Where the variable names something that cannot be had, this is the fastest set all the
  /// same and `selectionError` says what was wrong.
  package static let current: KernelSet = (try? selection.get()) ?? fastest

  /// Why `VECDB_KERNELS` was not followed; nil if it was, or is not set.
  package static var selectionError: KernelSelectionError? {
    if case .failure(let error) = selection { error } else { nil }
  }

  private static let selection: Result<KernelSet, KernelSelectionError> = Result {
    () throws(KernelSelectionError) in
    try select(getenv(environmentVariable).map { String(cString: $0) })
  }

  /// The fastest set that this processor supports.
  package static var fastest: KernelSet { available.last ?? portable }

  /// Every set that this processor supports, slowest first; the portable one always.
  package static var available: [KernelSet] { InstructionSet.allCases.compactMap { `for`($0) } }

  /// The set of that name, if there is one and this processor supports it.
  package static func named(_ name: String) -> KernelSet? {
    InstructionSet(rawValue: name).flatMap { `for`($0) }
  }

  /// The set for a value of `VECDB_KERNELS`: nil and the empty string mean the fastest.
  package static func select(_ value: String?) throws(KernelSelectionError) -> KernelSet {
    guard let value, !value.isEmpty else { return fastest }
    guard let instructionSet = InstructionSet(rawValue: value) else {
      throw .unknownName(value, fallback: fastest.name)
    }
    guard let set = `for`(instructionSet) else {
      throw .unsupported(instructionSet, fallback: fastest.name)
    }
    return set
  }

  /// The set of an instruction set, or nil where the processor or the build lacks it.
  package static func `for`(_ instructionSet: InstructionSet) -> KernelSet? {
    guard instructionSet.isSupported else { return nil }
    switch instructionSet {
    case .portable: return portable
    #if arch(x86_64)
      case .avx2: return avx2
      case .avx512: return avx512
    #else
      case .avx2, .avx512: return nil
    #endif
    }
  }
}
