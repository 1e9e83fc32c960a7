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
  /// Puts an object, in place of another if there is one. Durable on return. A remote place throws
  /// `.alreadyExists` if somebody else did so since it was listed.
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
  /// again after a crash must do no harm otherwise. False if the place keeps it under a lock.
  @discardableResult
  func delete(_ name: String, durably: Bool) throws -> Bool

  /// Takes a lock that ends with the handle or the process; throws `.locked`, naming its owner.
  func lock(_ name: String, owner: String) throws -> any FileLock
  /// Clears up what processes that died left unfinished, last written before that moment in
  /// milliseconds since 1970. Returns how many objects.
  func removeUnfinished(olderThanMilliseconds limit: Int64) throws -> Int

  // MARK: What a place that is reached by requests does otherwise

  /// Whether it is reached by requests. Then `info` and `names` tell what a list told, and nothing is
  /// put in place of something else: who deletes an object deletes the one that it has listed.
  var isRemote: Bool { get }
  /// How many requests are worth making at the same time; 0 where that is not what takes the time.
  var requestsAtOnce: Int { get }
  /// What was asked of it; nil if it is not reached by requests.
  var requests: RequestCounts? { get }
  /// Its clock less that of this machine.
  var clockOffsetMilliseconds: Int64 { get }
  /// How long ago all of it was listed, in milliseconds; 0 where nothing is remembered.
  var listAgeMilliseconds: Int64 { get }
  /// How many objects it kept under a lock although they were to be deleted.
  var retainedObjects: Int { get }
  /// Lists anew what names with these beginnings there are; all for an empty one.
  func refresh(_ prefixes: [String]) throws
}

extension ObjectStore {
  package var isRemote: Bool { false }
  package var requestsAtOnce: Int { 0 }
  package var requests: RequestCounts? { nil }
  package var clockOffsetMilliseconds: Int64 { 0 }
  package var listAgeMilliseconds: Int64 { 0 }
  package var retainedObjects: Int { 0 }
  package func refresh(_ prefixes: [String]) throws {}
}
