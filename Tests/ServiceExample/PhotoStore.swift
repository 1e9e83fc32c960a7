import VecDB
import VecDBService

/// The collection of photos, made when it is first asked for.
struct PhotoStore: Sendable {
  let service: DatabaseService
  let dimensions: Int

  var isReady: Bool { service.isOpen }

  func photos() async throws -> VectorCollection {
    let database = try await service.database
    do { return try database.collection("photos") } catch let error as VecDBError
      where error.code == .notFound
    {
      do {
        return try await database.createCollection(
          "photos", dimensions: dimensions, metric: .cosine)
      } catch let error as VecDBError where error.code == .alreadyExists {
        // Another request was faster.
        return try database.collection("photos")
      }
    }
  }
}
