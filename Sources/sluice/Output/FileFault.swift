import Foundation

/// Why a file could not be read, in the system's own words alone.
enum FileFault {
  static func reason(of error: any Error) -> String {
    let fault = error as NSError
    let cause = fault.userInfo[NSUnderlyingErrorKey] as? NSError ?? fault
    return cause.domain == NSPOSIXErrorDomain
      ? String(cString: strerror(Int32(cause.code))) : "it is not a readable file"
  }
}
