/// The error that every module below `VecDB` throws: what kind of trouble, what happened, where,
/// and what a person can do about it. `VecDB` turns it into its public `VecDBError`.
package struct StoreError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Kind: String, Sendable {
    /// A file, collection, key or repository that is not there.
    case notFound
    /// Something of that name is already there.
    case alreadyExists
    /// Another process holds the database.
    case locked
    /// Bytes that are not what their checksum, hash or structure says.
    case corrupt
    /// A format version that this program does not know.
    case unknownVersion
    /// No space, or a quota, was hit; nothing was changed.
    case diskFull
    /// The operating system refused or failed an operation.
    case inputOutput
    /// A failed write or fsync left the outcome unknown; the database must be reopened.
    case poisoned
    /// The caller passed something that cannot be accepted.
    case invalidArgument
    /// A documented limit was reached.
    case limitExceeded
    /// The operation was asked to stop.
    case cancelled
  }

  package var kind: Kind
  /// What happened, as a sentence without a full stop.
  package var message: String
  /// The file, block, segment or key that it happened to; empty if there is none.
  package var location: String
  /// What to do now, as a sentence.
  package var remedy: String

  package init(_ kind: Kind, _ message: String, at location: String = "", remedy: String = "") {
    self.kind = kind
    self.message = message
    self.location = location
    self.remedy = remedy
  }

  package var description: String {
    var text = message
    if !location.isEmpty { text += " (\(location))" }
    if !remedy.isEmpty { text += ". \(remedy)" }
    return text
  }
}
