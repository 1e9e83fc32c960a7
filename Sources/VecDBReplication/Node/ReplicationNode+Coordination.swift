import VecDB
import VecDBFiles
import VecDBReplicationProtocol

// MARK: What a coordination asks of its node

extension ReplicationNode {
  /// Whether writes may be acknowledged that no replica has confirmed: then only its permit stops a
  /// primary that was replaced.
  package var acknowledgesAlone: Bool {
    get async {
      guard let shipper else { return true }
      let terms = await onQueue { shipper.acknowledgement.terms }
      return terms.waiting.isEmpty
        || terms.waiting.contains { $0.degrades || $0.maximumLag != 0 }
    }
  }

  /// Why the last promotion did not come about.
  package var promotionFailure: Coordination.Failure? {
    switch state.withLock({ $0.promotionOutcome }) {
    case .behind(let name, _): .behind(name)
    case .refused(let certificate): .notProvable(certificate.reason)
    case .stale, .promote, nil: nil
    }
  }
}

extension ReplicationNode {
  /// Whether a database is at `path`.
  package static func hasDatabase(at path: String) throws -> Bool {
    try VecDBError.translating {
      let files = PosixFileSystem()
      let place = try Database.place(of: path)
      try BootstrapRun(path: place, files: files, configuration: DatabaseConfiguration())
        .finishInterrupted()
      return try files.exists(place + "/log")
    }
  }
}
