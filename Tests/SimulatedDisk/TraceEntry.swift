/// One operation that a simulated disk was asked for.
package struct TraceEntry: Sendable, CustomStringConvertible {
  /// The operation's number, from 1. Reads, which are traced only where a fault hits them, carry
  /// the number of the operation before them.
  package var number: Int
  package var kind: OperationKind
  package var path: String
  /// For reads and writes: where, in bytes. For truncations: the new size.
  package var offset: Int
  /// For reads and writes: how many bytes.
  package var length: Int
  /// The fault that hit it, or other remarks.
  package var remark: String

  package var description: String {
    var text = "#\(number) \(kind.rawValue) \(path)"
    switch kind {
    case .read, .write: text += " \(offset)+\(length)"
    case .truncate: text += " to \(offset)"
    default: break
    }
    return remark.isEmpty ? text : "\(text): \(remark)"
  }
}
