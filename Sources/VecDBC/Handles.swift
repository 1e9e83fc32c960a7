import CVecDB
import VecDB
import VecDBBytes

/// The objects behind the numbers that C code holds. A number is never used again, so that one that
/// was closed can always be told from a live one.
final class Handles<Object: Sendable>: Sendable {
  private struct Table {
    var objects: [UInt64: Object] = [:]
    var last: UInt64 = 0
  }

  private let table = Guarded(Table())
  private let kind: String

  init(_ kind: String) { self.kind = kind }

  func add(_ object: Object) -> UInt64 {
    table.withLock { table in
      table.last += 1
      table.objects[table.last] = object
      return table.last
    }
  }

  func object(_ handle: UInt64) throws -> Object {
    let (found, last) = table.withLock { ($0.objects[handle], $0.last) }
    if let found { return found }
    guard handle != 0, handle <= last else {
      throw Failure.argument(
        "\(handle) is no handle of a \(kind)", at: kind, remedy: "Pass a handle that vecdb gave.")
    }
    throw VecDBError(
      .closed, "the handle of the \(kind) is closed", at: kind, remedy: "Open the \(kind) again.")
  }

  /// Nil if it was removed before, or never was.
  func remove(_ handle: UInt64) -> Object? {
    table.withLock { $0.objects.removeValue(forKey: handle) }
  }

  func requireGiven(_ handle: UInt64) throws {
    guard handle != 0, handle <= table.withLock({ $0.last }) else {
      throw Failure.argument(
        "\(handle) is no handle of a \(kind)", at: kind, remedy: "Pass a handle that vecdb gave.")
    }
  }
}

enum Open {
  static let databases = Handles<Database>("database")
  static let collections = Handles<VectorCollection>("collection")
}
