import VecDBFiles

/// A place that keeps objects under names and is reached by requests, each of which takes a while and
/// may cost money: a bucket of an object store. All that it has to promise is that an object appears
/// whole or not at all, that a list tells of what was put before it began, and one exclusive create.
///
/// Names are relative to the place. Methods may be called from several threads at once, repeat by
/// themselves what may be repeated, and throw `StoreError`.
package protocol Bucket: Sendable {
  /// Words by which messages name the place.
  var location: String { get }
  /// What was asked of the store so far, every attempt counted.
  var requests: RequestCounts { get }
  /// The store's clock less that of this machine, as its last answer told.
  var clockOffsetMilliseconds: Int64 { get }
  /// How a repository in it is best used.
  var options: BucketStore.Options { get }

  /// At most 1,000 objects whose names begin with `prefix` and are after `after`, ascending by bytes.
  func list(prefix: String, after: String?) throws -> BucketPage
  /// Throws `.notFound`; `.limitExceeded` beyond `maximumBytes`.
  func get(_ name: String, maximumBytes: Int) throws -> [UInt8]
  /// The conditional put.
  func create(_ name: String, _ bytes: [UInt8]) throws -> CreateOutcome
  /// Deletes an object; no error if it is not there. False if the store keeps it under a lock.
  func delete(_ name: String) throws -> Bool
}

extension Bucket {
  package var options: BucketStore.Options { BucketStore.Options() }
  package func place(_ name: String) -> String { location + "/" + name }
}

/// A part of a list.
package struct BucketPage: Sendable, Equatable {
  package struct Object: Sendable, Equatable {
    package var name: String
    package var sizeBytes: Int
    /// When it was put, by the store's clock.
    package var modifiedMilliseconds: Int64

    package init(name: String, sizeBytes: Int, modifiedMilliseconds: Int64) {
      self.name = name
      self.sizeBytes = sizeBytes
      self.modifiedMilliseconds = modifiedMilliseconds
    }
  }

  package var objects: [Object]
  /// Whether more objects follow; `next` is the name after which they do.
  package var next: String?

  package init(objects: [Object], next: String?) {
    self.objects = objects
    self.next = next
  }
}

/// What came of a conditional put.
package enum CreateOutcome: Sendable, Equatable {
  case created
  /// There is an object of that name. `mayBeOwn` if an earlier attempt got no answer: then it may be
  /// the one that was to be put.
  case exists(mayBeOwn: Bool)
}

/// Requests by kind, and the bytes of their bodies.
package struct RequestCounts: Sendable, Equatable {
  package var puts = 0
  package var gets = 0
  package var lists = 0
  package var deletes = 0
  /// Of those above, how many repeated one that had failed.
  package var repeats = 0
  package var bytesSent = 0
  package var bytesReceived = 0

  package init() {}

  package var total: Int { puts + gets + lists + deletes }

  package static func - (left: RequestCounts, right: RequestCounts) -> RequestCounts {
    var result = left
    result.puts -= right.puts
    result.gets -= right.gets
    result.lists -= right.lists
    result.deletes -= right.deletes
    result.repeats -= right.repeats
    result.bytesSent -= right.bytesSent
    result.bytesReceived -= right.bytesReceived
    return result
  }
}
