import CVecDB
import Glibc
import VecDB

/// The errors of the C interface: the library's, with a number for each code.
enum Failure {
  /// A child of the process that used the library asks it for something.
  static let forked = VecDBError.Code(rawValue: "forked")

  private static let numbers: [VecDBError.Code: Int] = [
    .invalidArgument: VECDB_INVALID_ARGUMENT, .notFound: VECDB_NOT_FOUND,
    .alreadyExists: VECDB_ALREADY_EXISTS, .locked: VECDB_LOCKED, .corrupt: VECDB_CORRUPT,
    .unknownVersion: VECDB_UNKNOWN_VERSION, .diskFull: VECDB_DISK_FULL,
    .inputOutput: VECDB_INPUT_OUTPUT, .poisoned: VECDB_POISONED,
    .limitExceeded: VECDB_LIMIT_EXCEEDED, .overloaded: VECDB_OVERLOADED, .closed: VECDB_CLOSED,
    .cancelled: VECDB_CANCELLED, .verificationFailed: VECDB_VERIFICATION_FAILED,
    .readOnly: VECDB_READ_ONLY, .notPrimary: VECDB_NOT_PRIMARY,
    .outcomeUnknown: VECDB_OUTCOME_UNKNOWN, .notReached: VECDB_NOT_REACHED,
    .conflict: VECDB_CONFLICT, forked: VECDB_FORKED,
  ]

  static func number(of code: VecDBError.Code) -> vecdb_code {
    vecdb_code(truncatingIfNeeded: numbers[code] ?? VECDB_OTHER)
  }

  static func argument(_ message: String, at location: String, remedy: String = "") -> VecDBError {
    VecDBError(.invalidArgument, message, at: location, remedy: remedy)
  }

  /// The error in memory that `release` frees.
  static func object(_ error: VecDBError) -> UnsafeMutablePointer<vecdb_error>? {
    guard let object = allocate(vecdb_error.self, 1) else { return nil }
    object.initialize(
      to: vecdb_error(
        code: number(of: error.code), name: text(error.code.rawValue), message: text(error.message),
        location: text(error.location), remedy: text(error.remedy)))
    return object
  }

  static func release(_ object: UnsafeMutablePointer<vecdb_error>) {
    for text in [
      object.pointee.name, object.pointee.message, object.pointee.location, object.pointee.remedy,
    ] {
      free(UnsafeMutableRawPointer(mutating: text))
    }
    free(object)
  }

  private static func text(_ value: String) -> UnsafePointer<CChar>? {
    UnsafePointer(Memory.text(value))
  }

  private static func allocate<Value>(
    _: Value.Type, _ count: Int
  ) -> UnsafeMutablePointer<Value>? {
    malloc(count * MemoryLayout<Value>.stride)?.bindMemory(to: Value.self, capacity: count)
  }
}
