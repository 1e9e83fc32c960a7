import VecDBFiles

/// What a repository asks of the place where it is kept: named objects that appear whole or not at
/// all, and one exclusive create. A directory gives that, and so does an object store with a
/// conditional put; a backend is one type that conforms to this.
///
/// Names are relative, with `/` between parts, such as `blocks/ab12…` and `log/1/20-30`. Methods may
/// be called from several threads at once and throw `StoreError`.
package protocol ObjectStore: Sendable {
  /// Words by which messages name the place.
  var location: String { get }
  /// Where an object is, for messages.
  func place(_ name: String) -> String

  /// Size and time of an object; nil if it is not there.
  func info(_ name: String) throws -> FileInfo?
  /// The last parts of all names in a folder, sorted; none if the folder is not there. Names that end
  /// in `.tmp` are unfinished.
  func names(in folder: String) throws -> [String]
  /// Throws `.notFound`; `.limitExceeded` beyond `maximumBytes`.
  func get(_ name: String, maximumBytes: Int) throws -> [UInt8]

  /// The conditional put: throws `.alreadyExists` if there is an object of that name. Durable on
  /// return.
  func create(_ name: String, _ bytes: [UInt8]) throws
  /// Puts an object, in place of another if there is one. Durable on return.
  func replace(_ name: String, _ bytes: UnsafeRawBufferPointer) throws
  /// Puts an object whose name stands for its content, in place of another if there is one; durable
  /// and visible after `flush`, perhaps before. False if the same one is being put already.
  func putLater(_ name: String, _ bytes: UnsafeRawBufferPointer) throws -> Bool
  /// Whether `putLater` has the object and it is not visible yet.
  func isPending(_ name: String) -> Bool
  /// Returns when all that `putLater` was given is durable under its name, and all that others have
  /// put into these folders. After an error nothing more is taken.
  func flush(_ folders: [String]) throws
  /// Throws `.notFound` if it is not there. Durable on return if so asked; an object that is there
  /// again after a crash must do no harm otherwise.
  func delete(_ name: String, durably: Bool) throws

  /// Takes a lock that ends with the handle or the process; throws `.locked`, naming its owner.
  func lock(_ name: String, owner: String) throws -> any FileLock
  /// Clears up what processes that died left unfinished, last written before that moment in
  /// milliseconds since 1970. Returns how many objects.
  func removeUnfinished(olderThanMilliseconds limit: Int64) throws -> Int
}
