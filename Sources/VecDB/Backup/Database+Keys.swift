import VecDBBlockStore
import VecDBBytes
import VecDBFiles

extension Database {
  /// Changes the key of an encrypted repository. Its data key stays, so that no block is written
  /// anew and backups may go on meanwhile; the old key does not open it any more. Who may have seen
  /// the data key itself can still read it: back up to a new repository then.
  ///
  /// - Throws: `invalidArgument` if `old` is not its key; `notFound` if it is not encrypted.
  public static func changeKey(
    of repository: String, from old: any RepositoryKey, to new: any RepositoryKey
  ) throws {
    try VecDBError.translating {
      let place = try RepositoryPlace(repository, fileSystem: PosixFileSystem())
      let store = place.store
      // Proves that there is a repository, and that the old key opens it.
      let opened = try StoredRepository.open(place, encryption: RepositoryEncryption(old))
      let keys = try StoredRepository.keys(in: store)
      let rewrapped = try new.rewrap(keys, openedBy: old, at: store.place("keys"))
      guard try opened.isOpened(by: RepositoryEncryption(new), keys: rewrapped) else {
        throw VecDBError(
          .verificationFailed, "the new key would not open the repository", at: repository,
          remedy: "Nothing was changed.")
      }
      try StoredRepository.replaceKeys(in: store, with: rewrapped)
      guard store.retainedObjects == 0 else {
        throw VecDBError(
          .locked,
          "the new key is in place, but the store keeps what the old key opens under a lock",
          at: store.place("keys"),
          remedy: "Keep the old key secret until that lock ends and the object is deleted.")
      }
    }
  }
}
