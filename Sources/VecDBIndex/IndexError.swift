/// What the index refuses or finds wrong. `VecDB` turns it into its public error.
package enum IndexError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A parameter outside its documented range.
  case invalidParameter(String)
  /// A batch that cannot belong to this state: a slot out of range or dead, a wrong dimension.
  case corruptInput(String)
  /// Stored state or arrays that contradict themselves.
  case corruptState(String)
  /// A state written by a format version that this program does not know.
  case unknownVersion(UInt16)
  /// An array reached the address space that was reserved for it.
  case capacityExceeded(array: String, limitBytes: Int)
  /// The operating system refused memory.
  case outOfMemory(array: String, bytes: Int)

  package var description: String {
    switch self {
    case .invalidParameter(let what): "invalid index parameter: \(what)"
    case .corruptInput(let what): "batch does not fit the index: \(what)"
    case .corruptState(let what): "index state is corrupt: \(what)"
    case .unknownVersion(let version): "index state has unknown format version \(version)"
    case .capacityExceeded(let array, let limit):
      "array \(array) is full: \(limit) bytes of address space are its limit"
    case .outOfMemory(let array, let bytes):
      "the system refused \(bytes) bytes for array \(array)"
    }
  }
}
