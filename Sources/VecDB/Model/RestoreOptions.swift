/// Options of a restore.
public struct RestoreOptions: Sendable {
  /// How to prove the copy. Default full.
  public var verification = RestoreVerification.full
  /// Restore only these collections, by their names in the target state; an empty set restores all.
  /// The restore fetches only the blocks that they need.
  public var collections: Set<String> = []
  /// Begin from the restore point with this LSN instead of the newest one at or before the target,
  /// for example because that one is damaged. The restore then replays more log to reach the same
  /// state.
  public var base: UInt64?
  /// Restore from the history that ends in this epoch, as if the repository had nothing of later
  /// epochs (see ``Database/endedHistories(in:key:)``). Default nil: the newest history.
  public var epoch: UInt64?
  /// Replace an older copy of the database, which no process may have open. The restore does not
  /// fetch blocks that this copy has, and removes it when the new copy has passed its proof.
  /// Default false: an existing path is an error.
  ///
  /// The restore still refuses to replace a database that is no copy of the repository's, or one
  /// with batches that the repository lacks. Files in the directory that vecdb did not make stay.
  public var replacing = false
  /// With `replacing`: accept the loss of batches that the repository lacks. Default false.
  public var discardsUnsaved = false
  /// With `replacing`: replace any database. Default false.
  public var replacesUnrelated = false
  /// Continue as the same database, in a new epoch, so that its backups continue in the same
  /// repository. Do not use the old database any more. Default false: the copy is a database of its
  /// own.
  public var continues = false
  /// Opens an encrypted repository; nil takes ``DatabaseConfiguration/repositoryKey``.
  public var key: (any RepositoryKey)?

  public init(
    verification: RestoreVerification = .full, collections: Set<String> = [], base: UInt64? = nil,
    epoch: UInt64? = nil, replacing: Bool = false, discardsUnsaved: Bool = false,
    replacesUnrelated: Bool = false,
    continues: Bool = false, key: (any RepositoryKey)? = nil
  ) {
    self.verification = verification
    self.collections = collections
    self.base = base
    self.epoch = epoch
    self.replacing = replacing
    self.discardsUnsaved = discardsUnsaved
    self.replacesUnrelated = replacesUnrelated
    self.continues = continues
    self.key = key
  }
}
