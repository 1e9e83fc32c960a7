/// How a restore is made.
public struct RestoreOptions: Sendable {
  /// How the copy is proven. Default full.
  public var verification = RestoreVerification.full
  /// Restore only these collections, by the names that they have in the target state; empty restores
  /// all. What they do not need is not fetched.
  public var collections: Set<String> = []
  /// Begin from the restore point with this LSN rather than the newest one at or before the target,
  /// for example because that one is damaged. The log then leads to the same state.
  public var base: UInt64?
  /// Take the place of an older copy of the database, which nobody may have open: what it has is
  /// not fetched. It is removed when the new one has passed its proof. Default false: something
  /// that is there is an error.
  public var replacing = false
  /// Opens an encrypted repository; nil takes ``Configuration/repositoryKey``.
  public var key: (any RepositoryKey)?

  public init() {}
}
