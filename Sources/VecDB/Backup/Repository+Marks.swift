import VecDBBlockStore
import VecDBBytes
import VecDBFiles

extension Repository {
  /// The marks that the newest restore point and the log behind it know, of the history that ends in
  /// an epoch: two histories may have a mark of one name.
  func marks(through epoch: UInt64 = .max) throws -> Marks {
    let history = try RepositoryHistory(self, through: epoch)
    guard let entry = history.base(of: .max) else { return Marks() }
    var marks = try Marks(in: try getManifest(entry))
    for stretch in history.log(after: entry) {
      for frame in try ArchivedLog.read(stretch.piece, in: self).frames
      where frame.lsn > entry.lsn && frame.lsn <= stretch.lastLSN {
        guard frame.payload.prefix(2).last == BatchPayload.Kind.mark.rawValue else { continue }
        try DecodedBatch.with(frame.payload, lsn: frame.lsn) { batch in
          guard case .mark(let name, let isSet, let time) = batch else { return }
          marks.set(name, isSet ? .init(lsn: frame.lsn, timeMilliseconds: time) : nil)
        }
      }
    }
    return marks
  }

  /// Throws `.notFound`, naming the marks that there are.
  func mark(named name: String, through epoch: UInt64 = .max) throws -> Marks.Place {
    let marks = try marks(through: epoch)
    if let place = marks[name] { return place }
    let names = marks.infos.suffix(10).map { "'\($0.name)'" }.joined(separator: ", ")
    throw StoreError(
      .notFound, "the repository knows no mark '\(name)'", at: location,
      remedy: names.isEmpty
        ? "Back up after you set a mark: the repository then knows it."
        : "The newest marks are \(names).")
  }
}

extension Database {
  /// The marks of a repository that can be restored by ``RestoreTarget/mark(_:)``, oldest first.
  ///
  /// - Parameter key: of an encrypted repository.
  public static func marks(
    in repository: String, key: (any RepositoryKey)? = nil
  ) throws -> [MarkInfo] {
    try VecDBError.translating {
      let source = try openSource(repository, key: key)
      let history = try RepositoryHistory(source)
      return try source.marks().infos.filter { history.canRestore($0) }
    }
  }
}

extension RepositoryHistory {
  func canRestore(_ mark: MarkInfo) -> Bool {
    guard let base = base(of: mark.lsn) else { return false }
    return mark.lsn <= reach(of: base)
  }
}
