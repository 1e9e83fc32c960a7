import VecDBBytes
import VecDBFiles
import VecDBIndex

/// The one error type that `VecDB` throws: what kind of trouble it is, what happened, where, and
/// what to do about it.
public struct VecDBError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The kind of trouble, for programs to act on. Versions to come may have further codes: handle
  /// those that you do not know like ``inputOutput``.
  public struct Code: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible {
    /// The name of the code, as in JSON.
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }

    public var description: String { rawValue }

    /// The caller passed something that cannot be accepted. Nothing was changed.
    public static let invalidArgument = Code(rawValue: "invalidArgument")
    /// A database, collection, key, repository or restore point that is not there.
    public static let notFound = Code(rawValue: "notFound")
    /// Something of that name is already there.
    public static let alreadyExists = Code(rawValue: "alreadyExists")
    /// The record is not the version that the write asks for. Nothing was changed.
    public static let conflict = Code(rawValue: "conflict")
    /// Another process has the database open.
    public static let locked = Code(rawValue: "locked")
    /// Bytes that are not what their checksum, hash or structure says they are.
    public static let corrupt = Code(rawValue: "corrupt")
    /// A format version that this program does not know.
    public static let unknownVersion = Code(rawValue: "unknownVersion")
    /// There is no space. Nothing was changed; reading goes on, writing works again when there is
    /// space.
    public static let diskFull = Code(rawValue: "diskFull")
    /// The operating system refused or failed an operation.
    public static let inputOutput = Code(rawValue: "inputOutput")
    /// A write or fsync failed and its outcome is unknown. The database must be closed and
    /// opened again before it accepts writes.
    public static let poisoned = Code(rawValue: "poisoned")
    /// A documented limit was reached.
    public static let limitExceeded = Code(rawValue: "limitExceeded")
    /// The write queue stayed full for longer than the configured time. Nothing was written.
    public static let overloaded = Code(rawValue: "overloaded")
    /// The database or collection handle is closed, or the collection was dropped.
    public static let closed = Code(rawValue: "closed")
    /// The operation was asked to stop.
    public static let cancelled = Code(rawValue: "cancelled")
    /// A recovery did not pass its proof; nothing was made live.
    public static let verificationFailed = Code(rawValue: "verificationFailed")
    /// This copy follows another one, or was replaced by it. Nothing was written.
    public static let readOnly = Code(rawValue: "readOnly")
    /// The primary is handing over to another node. Nothing was written; write to that node.
    public static let notPrimary = Code(rawValue: "notPrimary")
    /// The write is durable here, but not on as many replicas as were asked for in time, and nobody
    /// knows whether it would survive this host. Repeating it is safe: records that are already
    /// there, equal in key, vector and metadata, are not written again.
    public static let outcomeUnknown = Code(rawValue: "outcomeUnknown")
    /// The state asked for was not reached in time.
    public static let notReached = Code(rawValue: "notReached")
  }

  public var code: Code
  /// What happened, as a sentence without a full stop.
  public var message: String
  /// The file, key, collection or position that it happened to; empty if there is none.
  public var location: String
  /// What to do now, as a sentence; empty if there is nothing to say.
  public var remedy: String

  public init(_ code: Code, _ message: String, at location: String = "", remedy: String = "") {
    self.code = code
    self.message = message
    self.location = location
    self.remedy = remedy
  }

  public var description: String {
    var text = message
    if !location.isEmpty { text += " (\(location))" }
    if !remedy.isEmpty { text += ". \(remedy)" }
    return text
  }
}

extension VecDBError {
  /// The public form of an error of the storage modules.
  init(_ error: StoreError) {
    let code: Code =
      switch error.kind {
      case .notFound: .notFound
      case .alreadyExists: .alreadyExists
      case .locked: .locked
      case .corrupt: .corrupt
      case .unknownVersion: .unknownVersion
      case .diskFull: .diskFull
      case .inputOutput: .inputOutput
      case .poisoned: .poisoned
      case .invalidArgument: .invalidArgument
      case .limitExceeded: .limitExceeded
      case .cancelled: .cancelled
      }
    self.init(code, error.message, at: error.location, remedy: error.remedy)
  }
}

extension VecDBError {
  /// Any error of the modules below in the public form.
  init(wrapping error: any Error) {
    switch error {
    case let error as VecDBError: self = error
    case let error as StoreError: self.init(error)
    case let error as IndexError: self.init(error)
    case let error as ByteReader.Failure:
      self.init(.corrupt, "\(error)", remedy: "Restore from a backup.")
    case is CancellationError: self.init(.cancelled, "the operation was cancelled")
    default: self.init(.inputOutput, "\(error)")
    }
  }

  init(_ error: IndexError) {
    switch error {
    case .invalidParameter:
      self.init(.invalidArgument, "\(error)", remedy: "Choose a value in the range.")
    case .corruptInput, .corruptState:
      self.init(.corrupt, "\(error)", remedy: "Restore the database from a backup.")
    case .unknownVersion:
      self.init(.unknownVersion, "\(error)", remedy: "Open the database with a newer vecdb.")
    case .capacityExceeded, .outOfMemory:
      self.init(
        .limitExceeded, "\(error)", remedy: "Use a machine with more memory, or delete records.")
    }
  }
}

extension VecDBError {
  /// Runs `body` and turns errors of the modules below into `VecDBError`.
  package static func translating<Value>(
    _ body: () throws -> Value
  ) throws(VecDBError) -> Value {
    do {
      return try body()
    } catch {
      throw VecDBError(wrapping: error)
    }
  }

  /// As above, for an async `body`. What a cancelled task throws has the code `cancelled`.
  package static func translating<Value>(
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Value
  ) async throws(VecDBError) -> Value {
    do {
      return try await body()
    } catch {
      throw VecDBError(wrapping: error)
    }
  }
}
