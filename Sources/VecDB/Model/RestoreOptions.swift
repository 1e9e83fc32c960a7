/// How a restore is made.
public struct RestoreOptions: Sendable {
  /// How the copy is proven. Default full.
  public var verification = RestoreVerification.full
  /// Restore only these collections, by the names that they have in the target state; empty
  /// restores all. What they do not need is not fetched.
  public var collections: Set<String> = []
  /// Begin from the restore point with this LSN rather than the newest one at or before the target,
  /// for example because that one is damaged. The log then leads to the same state.
  public var base: UInt64?
  /// Take the place of an older copy of the database, which nobody may have open: what it has is
  /// not fetched. It is removed when the new one has passed its proof. Default false: something
  /// that is there is an error.
  ///
  /// Refused all the same are a database that is no copy of the repository's, and one that has
  /// something which the repository does not have. Files in its directory that are not vecdb's
  /// stay.
  public var replacing = false
  /// With `replacing`: what the repository does not have may be lost. Default false.
  public var discardsUnsaved = false
  /// With `replacing`: the database there may be any. Default false.
  public var replacesUnrelated = false
  /// Go on as the same database, in an epoch of its own, so that its backups go on in the same
  /// repository. The database that was backed up there must not be used any more. Default false:
  /// the copy is a database of its own.
  public var continues = false
  /// Opens an encrypted repository; nil takes ``DatabaseConfiguration/repositoryKey``.
  public var key: (any RepositoryKey)?

  public init(
    verification: RestoreVerification = .full, collections: Set<String> = [], base: UInt64? = nil,
    replacing: Bool = false, discardsUnsaved: Bool = false, replacesUnrelated: Bool = false,
    continues: Bool = false, key: (any RepositoryKey)? = nil
  ) {
    self.verification = verification
    self.collections = collections
    self.base = base
    self.replacing = replacing
    self.discardsUnsaved = discardsUnsaved
    self.replacesUnrelated = replacesUnrelated
    self.continues = continues
    self.key = key
  }
}
