/// What was wrong with the name of a kernel set. Never fatal: the fastest set is used instead.
package enum KernelSelectionError: Error, Sendable, Equatable, CustomStringConvertible {
  /// No kernel set has that name.
  case unknownName(String, fallback: String)
  /// The set exists, but not for this processor or operating system.
  case unsupported(InstructionSet, fallback: String)

  package var description: String {
    let names = InstructionSet.allCases.map(\.rawValue).joined(separator: ", ")
    return switch self {
    case .unknownName(let name, let fallback):
      "\(KernelSet.environmentVariable)=\(name) names no kernel set; using \(fallback). "
        + "Known are: \(names). Unset the variable to use the fastest."
    case .unsupported(let instructionSet, let fallback):
      "\(KernelSet.environmentVariable)=\(instructionSet.rawValue) is not supported by this "
        + "processor or operating system; using \(fallback). Unset the variable to use the fastest."
    }
  }
}
