import VecDB
import VecDBBlockStore
import VecDBFiles

/// Repositories in object stores that speak S3.
///
/// ```swift
/// import VecDBObjectStore
///
/// let repository = try Repository.s3(bucket: "backups", prefix: "photos", region: "eu-central-1")
/// try await database.backup(to: repository)
/// ```
///
/// The store must have conditional writes (`If-None-Match: *`), as AWS S3, Cloudflare R2, MinIO and Ceph
/// do; one that ignores them is refused.
public enum Repository {
  /// How a bucket is named in requests.
  public enum Style: String, Sendable {
    /// `https://host/bucket/…`
    case path
    /// `https://bucket.host/…`
    case virtual
  }

  /// The address of a repository in a bucket, which every function that takes a repository accepts.
  ///
  /// Makes no request. The address holds no secrets: what is given as `credentials` is kept by this
  /// process for repositories of that address.
  ///
  /// - Parameters:
  ///   - bucket: must be there; vecdb makes none.
  ///   - prefix: of all names, so that a bucket can hold several repositories. Default: none.
  ///   - region: default: that of `AWS_REGION` or of the profile, otherwise what the store says.
  ///   - endpoint: `https://host:port` of a store other than AWS.
  ///   - style: default: virtual for AWS, path for an endpoint.
  ///   - profile: of the files in `~/.aws`; default: that of the environment.
  ///   - credentials: default: the first of environment, web identity, profile, container and machine
  ///     that has some. They are asked for again before they end.
  /// - Throws: ``VecDBError`` with `invalidArgument` for a name that cannot be, or if the program was
  ///   built without the trait `S3`.
  public static func s3(
    bucket: String, prefix: String = "", region: String? = nil, endpoint: String? = nil,
    style: Style? = nil, profile: String? = nil, credentials: Credentials? = nil
  ) throws -> String {
    try VecDBError.translating {
      var place: HTTPEndpoint?
      if let endpoint {
        guard let found = HTTPEndpoint(endpoint) else {
          throw StoreError(
            .invalidArgument, "the endpoint is no address of a host", at: endpoint,
            remedy: "Write https://host or http://host:port.")
        }
        place = found
      }
      let address = try S3Address(
        bucket: bucket, prefix: prefix, region: region, endpoint: place,
        style: style.flatMap { S3Address.Style(rawValue: $0.rawValue) }, profile: profile)
      guard enableS3() else {
        throw StoreError(
          .invalidArgument, "this program was built without object stores", at: address.text,
          remedy: "Build it with the trait S3 of the package vecdb.")
      }
      if let credentials { S3Clients.give(credentials, to: address) }
      return address.text
    }
  }

  /// Has addresses `s3://bucket/prefix?region=…&endpoint=…&style=…&profile=…` accepted wherever a
  /// repository is taken, with credentials from the usual places. False if the program was built
  /// without the trait `S3`.
  @discardableResult
  public static func enableS3() -> Bool {
    #if S3
      BucketKinds.add(scheme: "s3") { text in
        let address = try S3Address(text)
        return S3Bucket(try S3Clients.client(for: address, AsyncHTTPTransport.shared), address)
      }
      return true
    #else
      return false
    #endif
  }
}
